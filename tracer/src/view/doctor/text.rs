//! For people: a table for each group, then what is not as it should be, in full.

use super::super::{
    number,
    page::Page,
    style::{Paint, Style},
    table::Table,
};
use crate::diagnosis::{Answer, Diagnosis, Fact, Outlook, VERIFIER_LIMIT};

/// Longest detail that stands in the table, columns; longer ones stand below.
const SHORT: usize = 22;

/// The diagnosis as text.
#[must_use]
pub fn render(diagnosis: &Diagnosis, style: Style) -> String {
    let mut page = Page::new(style);
    outlook(&mut page, diagnosis);
    let mut facts = diagnosis.facts.as_slice();
    while let Some(first) = facts.first() {
        let group = first.topic.group();
        let len = facts.iter().take_while(|fact| fact.topic.group() == group);
        let (of_group, rest) = facts.split_at(len.count());
        page.heading(group.title());
        page.table(&table(of_group));
        facts = rest;
    }
    reasons(&mut page, &diagnosis.facts);
    programs(&mut page, diagnosis);
    page.into_text()
}

fn outlook(page: &mut Page, diagnosis: &Diagnosis) {
    let host = format!("Linux {}, {}", diagnosis.kernel, diagnosis.architecture);
    let (paint, text) = match diagnosis.outlook() {
        Outlook::Possible => {
            let how = diagnosis.capture();
            (Paint::Good, format!("Tracing is possible, {how}"))
        }
        Outlook::NotPermitted => (Paint::Notable, "Tracing is not permitted".to_owned()),
        Outlook::Unsupported => (Paint::Notable, "Tracing is not possible here".to_owned()),
    };
    page.painted(paint, "", &format!("{text} ({host})"));
}

fn table(facts: &[Fact]) -> Table {
    let mut table = Table::new(&["feature", "here", "why it matters", "instead"]);
    for fact in facts {
        let instead = match fact.answer {
            Answer::Yes => "",
            Answer::No | Answer::CouldNotTell => fact.topic.instead(),
        };
        table.row([
            fact.topic.title().to_owned(),
            here(fact),
            fact.topic.matters().to_owned(),
            instead.to_owned(),
        ]);
    }
    table
}

fn here(fact: &Fact) -> String {
    let word = word(fact.answer);
    if is_short(fact) {
        format!("{word} ({})", fact.detail)
    } else {
        word.to_owned()
    }
}

const fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Yes => "yes",
        Answer::No => "no",
        Answer::CouldNotTell => "could not tell",
    }
}

fn is_short(fact: &Fact) -> bool {
    fact.answer != Answer::CouldNotTell && (1..=SHORT).contains(&fact.detail.chars().count())
}

/// The details that found no room in the tables.
fn reasons(page: &mut Page, facts: &[Fact]) {
    let long = |fact: &&Fact| !fact.detail.is_empty() && !is_short(fact);
    let mut long = facts.iter().filter(long).peekable();
    if long.peek().is_some() {
        page.heading("In full");
    }
    for fact in long {
        let (title, word) = (fact.topic.title(), word(fact.answer));
        page.paragraph("  - ", &format!("{title}: {word}: {}", fact.detail));
    }
}

/// The programs that cost the verifier most.
fn programs(page: &mut Page, diagnosis: &Diagnosis) {
    const MOST: usize = 5;
    let known = diagnosis
        .programs
        .iter()
        .filter_map(|program| Some((program.verified_instructions?, program.name.as_str())));
    let mut known: Vec<_> = known.collect();
    if known.is_empty() {
        return;
    }
    known.sort_unstable_by(|one, other| other.cmp(one));
    let limit = number::grouped(u64::from(VERIFIER_LIMIT));
    page.heading(&format!(
        "What the verifier went through (it gives up at {limit} instructions)"
    ));
    let mut table = Table::new(&["program", ">instructions", ">of the limit"]);
    for (instructions, name) in known.iter().take(MOST) {
        let share = f64::from(*instructions) / f64::from(VERIFIER_LIMIT) * 100.0;
        table.row([
            (*name).to_owned(),
            number::grouped(u64::from(*instructions)),
            format!("{share:.1} %"),
        ]);
    }
    page.table(&table);
    if let Some(more) = known.len().checked_sub(MOST).filter(|more| *more > 0) {
        page.line(Paint::Faint, &format!("  and {more} more"));
    }
}

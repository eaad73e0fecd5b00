//! What this host allows: facts in, whether and how tracing is possible out.
//!
//! Pure. `host` and `probe` find the facts, `view` shows them.

mod topic;

use serde::Serialize;

pub use topic::{Group, Topic};

/// The answer to the question that a [`Topic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was tried or read, and is so.
    Yes,
    /// It was tried or read, and is not so.
    No,
    /// It could be neither tried nor read.
    CouldNotTell,
}

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// About what.
    pub topic: Topic,
    /// The answer.
    pub answer: Answer,
    /// What was seen: a figure, a setting, the kernel's words; why it could not be told.
    pub detail: String,
}

impl Fact {
    /// It is so.
    pub fn yes(topic: Topic, detail: impl Into<String>) -> Self {
        Self::new(topic, Answer::Yes, detail)
    }

    /// It is not so.
    pub fn no(topic: Topic, detail: impl Into<String>) -> Self {
        Self::new(topic, Answer::No, detail)
    }

    /// It could not be told, and why.
    pub fn unknown(topic: Topic, why: impl Into<String>) -> Self {
        Self::new(topic, Answer::CouldNotTell, why)
    }

    /// `yes` or no.
    pub fn whether(topic: Topic, yes: bool, detail: impl Into<String>) -> Self {
        let answer = if yes { Answer::Yes } else { Answer::No };
        Self::new(topic, answer, detail)
    }

    fn new(topic: Topic, answer: Answer, detail: impl Into<String>) -> Self {
        Self {
            topic,
            answer,
            detail: detail.into(),
        }
    }
}

/// A program that the kernel loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoadedProgram {
    /// Its name in the object.
    pub name: String,
    /// Instructions that the verifier looked at, paths through loops and branches counted each;
    /// Linux 5.16 and newer tell.
    pub verified_instructions: Option<u32>,
}

/// How many instructions the verifier looks at before it gives up
/// (`BPF_COMPLEXITY_LIMIT_INSNS`).
pub const VERIFIER_LIMIT: u32 = 1_000_000;

/// All that was found out.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// The kernel's release as it names itself.
    pub kernel: String,
    /// The architecture.
    pub architecture: &'static str,
    /// One for each topic, in the order of [`Topic::ALL`].
    pub facts: Vec<Fact>,
    /// What was loaded.
    pub programs: Vec<LoadedProgram>,
}

/// Whether tracing is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outlook {
    /// It is.
    Possible,
    /// It would be, with more rights.
    NotPermitted,
    /// Not on this kernel, or not from here, or not with this build.
    Unsupported,
}

impl Diagnosis {
    /// Puts facts into order. A topic that nobody found out about could not be told.
    #[must_use]
    pub fn new(
        kernel: String,
        architecture: &'static str,
        mut found: Vec<Fact>,
        programs: Vec<LoadedProgram>,
    ) -> Self {
        let facts = Topic::ALL.iter().map(|&topic| {
            let at = found.iter().position(|fact| fact.topic == topic);
            at.map_or_else(
                || Fact::unknown(topic, "it was not tried"),
                |at| found.swap_remove(at),
            )
        });
        Self {
            kernel,
            architecture,
            facts: facts.collect(),
            programs,
        }
    }

    /// The answer about a topic.
    #[must_use]
    pub fn answer(&self, topic: Topic) -> Answer {
        let fact = self.facts.iter().find(|fact| fact.topic == topic);
        fact.map_or(Answer::CouldNotTell, |fact| fact.answer)
    }

    /// Whether tracing is possible. What no right can mend weighs more than missing rights.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        const UNMENDABLE: [Topic; 4] = [
            Topic::ProbesBuiltIn,
            Topic::KernelRelease,
            Topic::PidNamespace,
            Topic::RingBuffer,
        ];
        const ATTACHED: [Topic; 3] = [Topic::ProcessFork, Topic::ProcessExec, Topic::ProcessExit];
        const RIGHTS: [Topic; 4] = [
            Topic::CapBpf,
            Topic::CapPerfmon,
            Topic::BpfSyscall,
            Topic::Memlock,
        ];
        let is_no = |topic: &Topic| self.answer(*topic) == Answer::No;
        if UNMENDABLE.iter().any(is_no) {
            Outlook::Unsupported
        } else if self.answer(Topic::Capture) == Answer::Yes && !ATTACHED.iter().any(is_no) {
            Outlook::Possible
        } else if RIGHTS.iter().any(is_no) {
            Outlook::NotPermitted
        } else {
            Outlook::Unsupported
        }
    }

    /// How calls would be captured.
    #[must_use]
    pub fn capture(&self) -> &str {
        let fact = self.facts.iter().find(|fact| fact.topic == Topic::Capture);
        fact.map_or("", |fact| &fact.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis(found: &[(Topic, Answer)]) -> Diagnosis {
        let facts = found
            .iter()
            .map(|&(topic, answer)| Fact::new(topic, answer, ""));
        Diagnosis::new(String::new(), "x86_64", facts.collect(), Vec::new())
    }

    #[test]
    fn every_topic_has_a_fact_and_none_is_guessed() {
        let diagnosis = diagnosis(&[]);
        assert_eq!(diagnosis.facts.len(), Topic::ALL.len());
        let unknown = |fact: &Fact| fact.answer == Answer::CouldNotTell && !fact.detail.is_empty();
        assert!(diagnosis.facts.iter().all(unknown));
        assert_eq!(diagnosis.outlook(), Outlook::Unsupported);
    }

    #[test]
    fn what_rights_cannot_mend_weighs_more() {
        use Answer::{No, Yes};
        let captured = (Topic::Capture, Yes);
        let outlook = |found: &[_]| diagnosis(found).outlook();
        assert_eq!(
            outlook(&[captured, (Topic::Trampolines, No)]),
            Outlook::Possible
        );
        assert_eq!(
            outlook(&[captured, (Topic::PidNamespace, No)]),
            Outlook::Unsupported
        );
        assert_eq!(outlook(&[(Topic::CapPerfmon, No)]), Outlook::NotPermitted);
        assert_eq!(
            outlook(&[(Topic::CapBpf, No), (Topic::KernelRelease, No)]),
            Outlook::Unsupported
        );
        assert_eq!(
            outlook(&[(Topic::CapBpf, Yes), (Topic::SysEnter, No)]),
            Outlook::Unsupported
        );
    }
}

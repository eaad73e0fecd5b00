//! What a call costs: bare, under a variant, bare again, for every variant in turn, and all that
//! several times over.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Bench;
use super::attached::Attached;
use super::pacer::{FREES, GETPPID, MALLOCS, PACES, PAIR, Pace, Pacer};
use super::section::{Section, Table};
use super::spread::{Nanos, Spread, grouped};
use super::variant::{How, VARIANTS, Variant};

const TRACING: &str = "/sys/kernel/tracing";
/// How often everything is measured.
const ROUNDS: usize = 7;
/// How long each measurement takes, seconds.
const LONG: f64 = 0.2;
const QUICK: f64 = 0.02;

/// What one variant came to.
struct Measured {
    variant: &'static Variant,
    /// By pace: nanoseconds, and the ratio to bare of the same moment.
    nanos: Vec<Vec<f64>>,
    ratios: Vec<Vec<f64>>,
    made: u64,
    received: u64,
    lost: u64,
    failed: Option<String>,
}

/// The cost for the process that is traced.
pub fn measure(bench: &Bench) -> Result<Section> {
    let mut section = Section::new("calls", "What a traced call costs");
    section.about.push(
        "A program pinned to processor 0 makes each call over and over and takes the time; \
         64 KiB, which are not touched, and 100 bytes of the C library's allocator. Each variant attaches to it, the calls are timed, it \
         detaches; just before and just after the same calls are timed bare. The ratio is to the \
         mean of those two. The variants take turns, so that what the machine does besides meets \
         all of them. Figures are medians over the rounds, in parentheses the smallest and the \
         largest."
            .into(),
    );
    let (rows, bare) = compare(bench, &PACES, VARIANTS.iter(), true)?;
    section.tables.push(table(&PACES, &rows, &bare, true));
    for row in &rows {
        if let (Some(figure), Some(ratio)) = (row.variant.figure, row.ratio(0).median()) {
            section.figures.insert(figure.to_owned(), ratio);
            section
                .figures
                .insert(format!("{figure} lost"), row.lost as f64);
            section.figures.insert(
                format!("{figure} missing"),
                row.made.saturating_sub(row.received) as f64,
            );
        }
    }
    if let Some(bare) = bare.first().and_then(Spread::median) {
        section.figures.insert("pair bare".into(), bare);
    }
    Ok(section)
}

/// The cost for a process that is not traced.
pub fn measure_host(bench: &Bench) -> Result<Section> {
    let mut section = Section::new("host", "What the others of the host pay");
    section.about.push(
        "The same, but the variants attach to another process, which sleeps. Tapping the \
         tracepoints of system calls puts every call of the machine on the kernel's slow path: \
         that is the floor, which nothing that uses them can go below."
            .into(),
    );
    let paces = [PAIR, GETPPID];
    let own = |variant: &&Variant| !matches!(variant.how, How::Peer { program, .. } if program != "bpftrace");
    let variants = VARIANTS.iter().filter(own);
    let (rows, bare) = compare(bench, &paces, variants, false)?;
    section.tables.push(table(&paces, &rows, &bare, false));
    for row in &rows {
        if let (Some(figure), Some(ratio)) = (row.variant.figure, row.ratio(1).median()) {
            let figure = figure.replace("pair", "untraced getppid");
            section.figures.insert(figure, ratio);
        }
    }
    Ok(section)
}

fn compare(
    bench: &Bench,
    paces: &[Pace],
    variants: impl Iterator<Item = &'static Variant>,
    is_traced: bool,
) -> Result<(Vec<Measured>, Vec<Spread>)> {
    let _tracing = Tracing::mount();
    let empty = || vec![Vec::new(); paces.len()];
    let mut rows: Vec<Measured> = variants
        .filter(|variant| bench.wants(variant.name))
        .map(|variant| Measured {
            variant,
            nanos: empty(),
            ratios: empty(),
            made: 0,
            received: 0,
            lost: 0,
            failed: None,
        })
        .collect();
    let mut pacer = Pacer::start(bench, 1, 0)?;
    let other = Pacer::start(bench, 1, 0)?;
    let long = if bench.quick { QUICK } else { LONG };
    let mut counts = Vec::new();
    for pace in paces {
        pacer.time(*pace, 500)?;
        counts.push(pacer.count_for(*pace, long)?);
    }
    let mut bare = empty();
    for round in 0..bench.rounds(ROUNDS) {
        eprintln!("      round {}", round + 1);
        for row in rows.iter_mut().filter(|row| row.failed.is_none()) {
            if bench.is_over() && round > 0 {
                break;
            }
            let target = if is_traced { pacer.pid() } else { other.pid() };
            if let Err(error) = row.once(bench, &mut pacer, target, paces, &counts, &mut bare) {
                row.failed = Some(format!("{error:#}"));
                // It may have been ended with what traced it.
                pacer = Pacer::start(bench, 1, 0)?;
            }
        }
    }
    Ok((rows, bare.into_iter().map(Spread::of).collect()))
}

impl Measured {
    fn once(
        &mut self,
        bench: &Bench,
        pacer: &mut Pacer,
        target: u32,
        paces: &[Pace],
        counts: &[u32],
        bare: &mut [Vec<f64>],
    ) -> Result<()> {
        let mut all_bare = |pacer: &mut Pacer| -> Result<Vec<f64>> {
            let mut times = Vec::new();
            for (index, (pace, count)) in paces.iter().zip(counts).enumerate() {
                let time = pacer.time(*pace, *count / 2)?;
                bare[index].push(time);
                times.push(time);
            }
            Ok(times)
        };
        let before = all_bare(pacer)?;
        let attached = Attached::start(bench, self.variant.how, target)?;
        let mut traced = Vec::new();
        let mut made = 0;
        for (pace, most) in paces.iter().zip(counts) {
            // A slow one gets as much time, not as many calls.
            let long = if bench.quick { QUICK } else { LONG };
            let count = pacer.count_for(*pace, long)?.min(*most);
            traced.push(pacer.time(*pace, count)?);
            let calls = pace.calls.iter().filter(|call| self.is_counted(call));
            made += calls.count() as u64 * u64::from(count + 500);
        }
        let delivered = attached.stop(|_| {})?;
        let after = all_bare(pacer)?;
        for (index, time) in traced.iter().enumerate() {
            self.nanos[index].push(*time);
            self.ratios[index].push(time / ((before[index] + after[index]) / 2.0));
        }
        if target == pacer.pid() && matches!(self.variant.how, How::Tracer(_)) {
            self.made += made;
            let calls = delivered.calls.iter();
            let counted = calls.filter(|(call, _)| self.is_counted(call));
            self.received += counted.map(|(_, count)| count).sum::<u64>();
        }
        self.lost += delivered.lost;
        Ok(())
    }

    /// Whether the variant's report counts calls of this name, which are among those of a pace.
    fn is_counted(&self, call: &str) -> bool {
        match call {
            "mmap" | "munmap" | "brk" | "madvise" => true,
            MALLOCS | FREES => self.variant.how.has_heap(),
            _ => false,
        }
    }

    fn ratio(&self, pace: usize) -> Spread {
        Spread::of(self.ratios[pace].iter().copied())
    }

    fn delivery(&self) -> String {
        if self.received == 0 {
            return String::new();
        }
        if self.lost == 0 && self.received >= self.made {
            return format!("all of {}", grouped(self.made));
        }
        let missing = self.made.saturating_sub(self.received);
        format!(
            "{} of {} lost, {} missing",
            grouped(self.lost),
            grouped(self.made),
            grouped(missing)
        )
    }
}

fn table(paces: &[Pace], rows: &[Measured], bare: &[Spread], is_traced: bool) -> Table {
    let mut columns = vec!["variant".to_owned(), format!("{}, each", paces[0].title)];
    columns.extend(paces.iter().map(|pace| format!("{}, × bare", pace.title)));
    if is_traced {
        columns.push("calls delivered".into());
        columns.push("what it delivers".into());
    }
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new("", &names);
    let show = |spread: &Spread| {
        spread
            .median()
            .map_or("–".into(), |median| Nanos(median).to_string())
    };
    let mut first = vec!["bare".to_owned(), show(&bare[0])];
    first.extend(bare.iter().map(|spread| format!("1 ({})", show(spread))));
    table.row(first);
    for row in rows {
        let mut cells = vec![row.variant.name.to_owned()];
        match &row.failed {
            Some(why) if row.nanos[0].is_empty() => cells.push(format!("not measured: {why}")),
            _ => {
                cells.push(show(&Spread::of(row.nanos[0].iter().copied())));
                cells.extend((0..paces.len()).map(|pace| row.ratio(pace).show(2)));
                if is_traced {
                    cells.push(row.delivery());
                    cells.push(row.variant.delivers.to_owned());
                }
            }
        }
        table.row(cells);
    }
    table
}

/// tracefs, which other tracers need, mounted while this lives if it was not.
struct Tracing(bool);

impl Tracing {
    fn mount() -> Self {
        if Path::new(TRACING).join("events").exists() {
            return Self(false);
        }
        let mut mount = Command::new("mount");
        mount.args(["-t", "tracefs", "tracefs", TRACING]);
        Self(mount.status().is_ok_and(|status| status.success()))
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        if self.0 {
            // One that is still in use stays.
            let _ = Command::new("umount").arg(TRACING).status();
        }
    }
}

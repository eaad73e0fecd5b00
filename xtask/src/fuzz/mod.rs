//! Random memory calls under the tracer, round after round: settings in, a table of rounds out,
//! an error with the command that repeats it at the first map that differs.
//!
//! A round is one run of a live test; what it means to differ is decided there.

mod round;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::round::{Outcome, Round};
use crate::build::{self, Profile};
use crate::elevate::Elevation;
use crate::setup::{self, Scope};
use crate::steps::elapsed;
use crate::test::live;
use crate::workspace::Workspace;

/// The modes of `workload fuzz`, and when the tracer comes, tried in turn.
const MODES: [&str; 4] = ["private", "shared", "mixed", "conflict"];
const ATTACHES: [&str; 2] = ["before", "amid"];

/// How much of it runs.
#[derive(Args, Debug)]
pub struct Settings {
    /// Calls a round
    #[arg(long, value_name = "N", default_value = "100000")]
    calls: u64,
    /// Seed of the first round; each further one takes the next
    #[arg(long, value_name = "S", default_value = "1")]
    seed: u64,
    /// Threads that make calls
    #[arg(long, value_name = "T", default_value = "4")]
    threads: u16,
    /// How calls of threads may meet: private, shared, conflict or mixed [default: each in turn]
    #[arg(long, value_name = "M", value_parser = MODES)]
    mode: Option<String>,
    /// When the tracer comes: before the first call, or amid them [default: both in turn]
    #[arg(long, value_name = "WHEN", value_parser = ATTACHES)]
    attach: Option<String>,
    /// How many rounds; 100 of the default length are ten million calls
    #[arg(long, value_name = "R", default_value = "10")]
    rounds: u64,
    /// Record each round, and keep the recordings of those that fail in this folder
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Rounds for so long, however many that are
    #[arg(long, value_name = "M", conflicts_with = "rounds")]
    minutes: Option<u64>,
}

/// What all rounds came to.
#[derive(Default)]
struct Totals {
    rounds: u64,
    calls: u64,
    events: u64,
    lost: u64,
    checks: u64,
    rereadings: u64,
    compared: u64,
    mismatches: u64,
    failed: Vec<String>,
}

/// Runs the rounds. All of them, also when one fails: each names its seed.
pub fn run(workspace: &Workspace, elevation: Elevation, settings: &Settings) -> Result<()> {
    let tools = setup::run(workspace, Scope::Tests)?;
    let products = build::products(workspace, &tools, Profile::Release)?;
    let executable = live::build(workspace, &tools)?;
    elevation.prepare()?;
    if let Some(folder) = &settings.keep {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let began = Instant::now();
    let mut totals = Totals::default();
    println!("{}", Outcome::HEAD);
    while settings.goes_on(totals.rounds, began) {
        let round = settings.round(totals.rounds);
        let result = round.run(elevation, &executable, &products)?;
        totals.add(&round, result);
    }
    println!("{}", totals.summary(began.elapsed()));
    if totals.failed.is_empty() {
        return Ok(());
    }
    bail!(
        "{} of {} rounds failed; to repeat them:\n{}",
        totals.failed.len(),
        totals.rounds,
        totals.failed.join("\n")
    )
}

impl Settings {
    fn goes_on(&self, done: u64, began: Instant) -> bool {
        match self.minutes {
            Some(minutes) => began.elapsed() < Duration::from_secs(60 * minutes),
            None => done < self.rounds,
        }
    }

    /// The round of a number, which counts from 0.
    fn round(&self, number: u64) -> Round {
        let turn = usize::try_from(number).unwrap_or(0);
        let in_turn = |wish: &Option<String>, choices: &[&str], turn: usize| match wish {
            Some(wish) => wish.clone(),
            None => choices[turn % choices.len()].to_owned(),
        };
        Round {
            seed: self.seed + number,
            threads: self.threads,
            calls: self.calls,
            mode: in_turn(&self.mode, &MODES, turn),
            attach: in_turn(&self.attach, &ATTACHES, turn / MODES.len()),
            keep: self.keep.clone(),
        }
    }
}

impl Totals {
    fn add(&mut self, round: &Round, result: Option<Outcome>) {
        self.rounds += 1;
        if result.as_ref().is_none_or(|outcome| !outcome.passed) {
            self.failed.push(round.command());
        }
        let Some(outcome) = result else {
            println!("seed {} ended without figures", round.seed);
            return;
        };
        println!("{outcome}");
        self.calls += outcome.calls;
        self.events += outcome.events;
        self.lost += outcome.lost;
        self.checks += outcome.checks;
        self.rereadings += outcome.rereadings;
        self.compared += outcome.compared;
        self.mismatches += outcome.mismatches;
    }

    fn summary(&self, took: Duration) -> String {
        let Self {
            rounds,
            calls,
            events,
            lost,
            checks,
            rereadings,
            compared,
            mismatches,
            ..
        } = self;
        format!(
            "{rounds} rounds in {}: {calls} calls, {events} events, {lost} lost, {checks} checks \
             of VmSize, {compared} maps compared, {rereadings} re-readings, {mismatches} mismatches",
            elapsed(took)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            calls: 5,
            seed: 7,
            threads: 2,
            mode: None,
            attach: None,
            rounds: 8,
            keep: None,
            minutes: None,
        }
    }

    #[test]
    fn every_mode_is_tried_with_both_ways_to_attach() {
        let settings = settings();
        let mut seen: Vec<_> = (0..8).map(|number| settings.round(number)).collect();
        assert_eq!((seen[0].seed, seen[7].seed), (7, 14));
        seen.sort_by_key(|round| (round.mode.clone(), round.attach.clone()));
        seen.dedup_by_key(|round| (round.mode.clone(), round.attach.clone()));
        assert_eq!(seen.len(), 8);
    }

    #[test]
    fn a_round_without_figures_has_failed() {
        let settings = settings();
        let mut totals = Totals::default();
        totals.add(&settings.round(0), None);
        assert_eq!(
            totals.failed,
            [
                "cargo xtask fuzz-live --rounds 1 --seed 7 --threads 2 --calls 5 --mode private --attach before"
            ]
        );
    }
}

//! Random calls that change an address space, from several threads and
//! children, valid and invalid: settings in, one line of counts out.
//!
//! The same seed makes the same calls in each thread; how threads interleave,
//! and so which addresses the kernel gives, is not the seed's. Everything the
//! program itself needs is allocated before the first call, and calls are only
//! about addresses that nothing of the program's own lies at.

mod advise;
mod change;
mod family;
mod ground;
mod kernel;
mod place;
mod storm;
mod tally;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use self::kernel::Kit;
use self::storm::Stage;
use crate::error::Error;
use crate::input::Input;
use crate::thread::{Body, Thread};
use crate::units::Bytes;

/// How often it is printed how many calls were made.
const PROGRESS: Duration = Duration::from_secs(1);
/// Looks of the main thread between two pauses.
const LOOKS: u32 = 25;
const STACK: Bytes = Bytes::kib(256);

/// How calls of different threads may meet
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Never: each thread has ranges of its own; the kernel gives what one unmapped to another
    Private,
    /// Threads use ranges in turn, under locks
    Shared,
    /// Threads change one range at the same time, with no order between them
    Conflict,
    /// All of these
    Mixed,
}

/// What to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// The same number makes the same calls
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,

    /// How many threads make calls
    #[arg(long, value_name = "T", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,

    /// How many calls to make, in all
    #[arg(long, value_name = "N", default_value = "100000")]
    calls: u64,

    /// How calls of different threads may meet
    #[arg(long, default_value = "mixed")]
    mode: Mode,

    /// How long all threads do nothing now and then, in ms: who follows the calls can catch up
    #[arg(long, value_name = "MS", default_value = "25")]
    pause: u16,

    /// After the "start" line wait for a line on standard input, or its end
    #[arg(long)]
    wait_start: bool,

    /// Make calls until a line comes on standard input, then as many as asked for
    #[arg(long, conflicts_with = "wait_start")]
    warm_up: bool,

    /// After the "end" line wait for another line on standard input, or its end
    #[arg(long)]
    hold: bool,
}

/// What all threads see.
static SHARED: OnceLock<Stage> = OnceLock::new();
/// Whether calls do not count yet.
static WARM_UP: AtomicBool = AtomicBool::new(false);
/// Whether nobody is to make calls just now.
static PAUSED: AtomicBool = AtomicBool::new(false);
/// Threads that have begun, and those that are done.
static BEGUN: AtomicUsize = AtomicUsize::new(0);
static DONE: AtomicUsize = AtomicUsize::new(0);

/// Makes the calls.
pub fn run(settings: Settings) -> Result<(), Error> {
    let input = Input::open()?;
    let threads = usize::from(settings.threads);
    WARM_UP.store(settings.warm_up, Ordering::Relaxed);
    let stage = Stage::new(Kit::new()?, &settings, threads);
    let stage = SHARED.get_or_init(|| stage);
    for index in 1..threads {
        Thread::start::<Caller>(index, STACK)?;
    }
    print(&format!(
        r#"{{"action":"start","pid":{},"seed":{},"threads":{threads},"calls":{}}}"#,
        kernel::own_id(),
        settings.seed,
        settings.calls
    ))?;
    if settings.wait_start {
        input.wait("start")?;
    }
    // The others wait for the main thread.
    BEGUN.store(1, Ordering::Release);
    let mut watch = Watch::new(&input, settings.pause);
    stage.run(0, &mut |tally| watch.look(tally.total()))?;
    while DONE.load(Ordering::Acquire) < threads || !stage.kit.tally.all_settled() {
        watch.look(stage.kit.tally.total())?;
        sleep(Duration::from_millis(2));
    }
    let mut line = r#"{"action":"end","#.to_owned();
    let written = stage
        .kit
        .tally
        .write(&mut line)
        .and_then(|()| line.write_char('}'));
    written.map_err(|error| Error::Output(io::Error::other(error)))?;
    print(&line)?;
    if settings.hold {
        input.wait("exit")?;
    }
    Ok(())
}

/// Looks at clock and input while the main thread makes calls.
struct Watch<'a> {
    input: &'a Input,
    next: Instant,
    pause: Duration,
    looks: u32,
}

impl<'a> Watch<'a> {
    fn new(input: &'a Input, pause: u16) -> Self {
        Self {
            input,
            next: Instant::now() + PROGRESS,
            pause: Duration::from_millis(pause.into()),
            looks: 0,
        }
    }

    fn look(&mut self, calls: u64) -> Result<(), Error> {
        if WARM_UP.load(Ordering::Relaxed) && kernel::has_input() {
            self.input.wait("count from now on")?;
            WARM_UP.store(false, Ordering::Relaxed);
        }
        self.looks += 1;
        if self.looks.is_multiple_of(LOOKS) && !self.pause.is_zero() {
            PAUSED.store(true, Ordering::Relaxed);
            sleep(self.pause);
            PAUSED.store(false, Ordering::Relaxed);
        }
        if Instant::now() >= self.next {
            self.next = Instant::now() + PROGRESS;
            print(&format!(r#"{{"action":"progress","calls":{calls}}}"#))?;
        }
        Ok(())
    }
}

fn print(line: &str) -> Result<(), Error> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .map_err(Error::Output)
}

/// Waits while there is a pause.
fn rest() {
    while PAUSED.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(1));
    }
}

/// A thread that makes calls and stays.
struct Caller;

impl Body for Caller {
    fn run(index: usize) {
        while BEGUN.load(Ordering::Acquire) == 0 {
            sleep(Duration::from_micros(100));
        }
        if let Some(stage) = SHARED.get() {
            // Only the main thread's watch can fail.
            let _ = stage.run(index, &mut |_| Ok(()));
        }
        kernel::park();
    }
}

//! Processes that are traced: a session on a thread of its own, given orders and asked for
//! reports.
//!
//! It begins with the first process: until then nothing is loaded or attached that follows
//! single calls.

use std::{
    collections::BTreeMap,
    sync::mpsc::{self, Receiver, Sender, TryRecvError},
    thread,
    time::{Duration, Instant},
};

use super::{afforded, files::LIMITS};
use crate::{
    host::{own, privilege},
    probe::{CaptureWish, StackWish},
    report::ProcessReport,
    session::{Account, Commander, Order, watch},
    units::{Bytes, Pid},
    world::{
        Limits, Outcome, Subject,
        live::{Live, Wishes},
    },
};

/// The ring, bytes. It is in memory as a whole once it was written through, and counts twice, as it
/// is mapped twice.
const RING: Bytes = Bytes(2 << 20);
/// Between two turns of the session. Each costs a wake-up and looks at the processes; what a ring
/// can hold of them leaves room for fewer than a run of its own makes.
const TURN: Duration = Duration::from_millis(100);
/// How long reports are waited for: the first comes after the programs were loaded, which takes a
/// busy machine a while, and so does reading a large map.
const PATIENCE: Duration = Duration::from_secs(30);

/// A session under way.
#[derive(Debug)]
pub struct Traced {
    orders: Sender<Order>,
    told: Receiver<Told>,
}

/// What comes back.
#[derive(Debug)]
enum Told {
    /// It cannot be had.
    Failed(String),
    /// A report, or that there is none.
    Report(Pid, Option<Box<ProcessReport>>),
    /// What it came to so far.
    Account(Account),
}

/// Reports by process.
pub type Reports = BTreeMap<Pid, Option<Box<ProcessReport>>>;

/// How to trace.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How calls are captured.
    pub capture: CaptureWish,
    /// The share of a processor that all of this process may use, per cent; `None`: no bound.
    pub max_cpu: Option<u32>,
    /// Events per second at most.
    pub max_events_per_second: Option<u64>,
}

/// What tracing may use at most of so many per cent of a processor, nanoseconds a second: half.
pub fn half(max_cpu: u32) -> u64 {
    afforded(max_cpu) / 2
}

impl Traced {
    /// Begins; that it failed is told with the first report.
    pub fn begin(manner: Manner) -> Self {
        let (orders, next) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let wishes = Wishes {
                subject: Subject::Running(Vec::new()),
                follow: false,
                duration: None,
                turn: TURN,
                ring: RING,
                capture: manner.capture,
                // Who called is asked where a process is traced for its own sake.
                stacks: StackWish::NONE,
                files: LIMITS,
                limits: Limits {
                    events_per_second: manner.max_events_per_second,
                    // Told more precisely below.
                    cpu_percent: manner.max_cpu.map(|percent| percent.div_ceil(2)),
                },
                heap: None,
                elsewhere: false,
            };
            // This thread has what the first one kept for it, and gives it up when it waits.
            match privilege::awake(|| Live::open(wishes)) {
                Ok(mut live) => {
                    own::return_memory();
                    watch(&mut live, &mut Line { next, tell });
                }
                Err(outcome) => {
                    let why = match outcome {
                        Outcome::NoProbes(error) => error.to_string(),
                        Outcome::NoTarget(error) | Outcome::Failed(error) => format!("{error:#}"),
                    };
                    let _ = tell.send(Told::Failed(why));
                }
            }
        });
        let traced = Self { orders, told };
        if let Some(percent) = manner.max_cpu {
            traced.afford(half(percent));
        }
        traced
    }

    /// Observes a process from now on.
    pub fn observe(&self, pid: Pid) {
        // If the session is gone the reports say so.
        let _ = self.orders.send(Order::Observe(pid));
    }

    /// Observes it no longer.
    pub fn leave(&self, pid: Pid) {
        let _ = self.orders.send(Order::Leave(pid));
    }

    /// Uses so much of a processor from now on, nanoseconds a second.
    pub fn afford(&self, share: u64) {
        let _ = self.orders.send(Order::Afford(share));
    }

    /// What is known of these processes now, `None` for one that is not observed (any more); and
    /// what observing came to.
    ///
    /// # Errors
    /// The session could not be had or does not answer, in words.
    pub fn reports(&self, pids: &[Pid]) -> Result<(Reports, Account), String> {
        let asked = pids.iter().map(|pid| Order::Report(*pid));
        for order in asked.chain([Order::Account]) {
            let _ = self.orders.send(order);
        }
        let deadline = Instant::now() + PATIENCE;
        let (mut reports, mut account) = (BTreeMap::new(), None);
        loop {
            let is_told = pids.iter().all(|pid| reports.contains_key(pid));
            if let (true, Some(account)) = (is_told, account) {
                return Ok((reports, account));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.told.recv_timeout(left) {
                Ok(Told::Report(pid, report)) => {
                    reports.insert(pid, report);
                }
                Ok(Told::Account(told)) => account = Some(told),
                Ok(Told::Failed(why)) => return Err(why),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err("its reports took too long".to_owned());
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err("it ended by itself".to_owned());
                }
            }
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::End);
    }
}

/// The session's end of the line.
struct Line {
    next: Receiver<Order>,
    tell: Sender<Told>,
}

impl Commander for Line {
    fn order(&mut self) -> Option<Order> {
        match self.next.try_recv() {
            Ok(order) => Some(order),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Order::End),
        }
    }

    fn told(&mut self, pid: Pid, report: Option<ProcessReport>) {
        let _ = self.tell.send(Told::Report(pid, report.map(Box::new)));
    }

    fn accounted(&mut self, account: Account) {
        let _ = self.tell.send(Told::Account(account));
    }
}

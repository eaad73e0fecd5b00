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

use crate::{
    host::{own, privilege},
    probe::{CaptureWish, StackWish},
    report::ProcessReport,
    session::{Commander, Order, watch},
    units::{Bytes, Pid},
    world::{
        Limits, Outcome, Subject,
        live::{Live, Wishes},
    },
};

/// How long reports are waited for: reading a large map takes a while.
const PATIENCE: Duration = Duration::from_secs(5);

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
}

/// How to trace.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How calls are captured.
    pub capture: CaptureWish,
    /// Size of the ring.
    pub ring: Bytes,
    /// What it may cost.
    pub limits: Limits,
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
                ring: manner.ring,
                capture: manner.capture,
                // Who called is asked where a process is traced for its own sake.
                stacks: StackWish {
                    most: Bytes(0),
                    threshold: Bytes(0),
                },
                limits: manner.limits,
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
        Self { orders, told }
    }

    /// Observes a process from now on.
    pub fn observe(&self, pid: Pid) {
        // If the session is gone the reports say so.
        let _ = self.orders.send(Order::Observe(pid));
    }

    /// What is known of these processes now: `None` for one that is not observed (any more).
    ///
    /// # Errors
    /// The session could not be had or does not answer, in words.
    pub fn reports(
        &self,
        pids: &[Pid],
    ) -> Result<BTreeMap<Pid, Option<Box<ProcessReport>>>, String> {
        for pid in pids {
            let _ = self.orders.send(Order::Report(*pid));
        }
        let deadline = Instant::now() + PATIENCE;
        let mut reports = BTreeMap::new();
        while pids.iter().any(|pid| !reports.contains_key(pid)) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.told.recv_timeout(left) {
                Ok(Told::Report(pid, report)) => {
                    reports.insert(pid, report);
                }
                Ok(Told::Failed(why)) => return Err(why),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err("its reports took too long".to_owned());
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err("it ended by itself".to_owned());
                }
            }
        }
        Ok(reports)
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
}

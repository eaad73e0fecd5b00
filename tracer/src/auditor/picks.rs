//! Processes that are picked: who is traced, for how long, and at what cost.

use std::time::{Duration, Instant};

use super::{
    Auditor, afforded,
    traced::{Manner, Traced, half},
};
use crate::{
    audit::{judgement::Judgement, roll::Depth, row::Tracing},
    host::{clock, crowd, own},
    units::{Nanos, Pid},
};

/// Asking those that are traced may take one part in so many of the time between two rounds, where
/// the bound is one per cent of a processor; with a higher one more.
const ASK_SHARE: u64 = 400;
/// What is left for tracing is found out over this long.
const BALANCE: Duration = Duration::from_secs(10);
/// A session in which nobody is traced ends after this long.
const IDLE: Duration = Duration::from_secs(60);

/// Those that are traced.
pub struct Picks {
    manner: Manner,
    /// Once there were any.
    session: Option<Traced>,
    /// Since when nobody is traced.
    idle: Option<Instant>,
    /// When all were asked last, and what processor time that took.
    asked: Option<(Instant, Nanos)>,
    /// When what is left was found out last, and what this thread had used then.
    balanced: (Instant, Nanos),
    account: Option<Tracing>,
    /// What sessions that have ended came to.
    ended: Tracing,
}

impl Picks {
    /// None yet.
    pub fn new(manner: Manner) -> Self {
        Self {
            manner,
            session: None,
            idle: None,
            asked: None,
            balanced: (Instant::now(), clock::thread_cpu()),
            account: None,
            ended: Tracing::default(),
        }
    }

    /// What tracing came to, once somebody was.
    pub const fn account(&self) -> Option<Tracing> {
        self.account
    }

    /// Another bound on the processor time of all.
    pub fn bound(&mut self, max_cpu: Option<u32>) {
        self.manner.max_cpu = max_cpu;
        if let (Some(session), Some(percent)) = (&self.session, max_cpu) {
            session.afford(half(percent));
        }
    }

    /// Tells the session what the rest of this process leaves it of the bound: half at most, and
    /// no less than a quarter.
    fn balance(&mut self) {
        let (since, before) = self.balanced;
        let (Some(session), Some(percent)) = (&self.session, self.manner.max_cpu) else {
            return;
        };
        let passed = since.elapsed();
        if passed < BALANCE {
            return;
        }
        let now = clock::thread_cpu();
        self.balanced = (Instant::now(), now);
        own::return_memory();
        let used = u128::from(now.since(before)) * 1_000_000_000 / passed.as_nanos().max(1);
        let left = afforded(percent).saturating_sub(u64::try_from(used).unwrap_or(u64::MAX));
        let half = half(percent);
        session.afford(left.clamp(half / 2, half));
    }

    /// Whether a round of questions is due, for what the last one took.
    fn is_round_due(&self) -> bool {
        let (Some((at, took)), Some(percent)) = (self.asked, self.manner.max_cpu) else {
            return true;
        };
        let rest = took.0.saturating_mul(ASK_SHARE) / u64::from(percent.max(1));
        at.elapsed() >= Duration::from_nanos(rest)
    }

    /// Whom to ask now.
    fn wanted(&self, traced: &[Pid], unasked: impl Fn(Pid) -> bool) -> Vec<Pid> {
        let is_due = self.is_round_due();
        let wanted = traced.iter().filter(|pid| is_due || unasked(**pid));
        wanted.copied().collect()
    }
}

impl Auditor {
    /// Begins to trace who is to be, and ends it where others wait.
    pub(super) fn pick(&mut self) {
        let leavers = self.roll.leavers(clock::now());
        if !leavers.is_empty() {
            // What is known of them stays.
            self.ask(&leavers);
        }
        for pid in leavers {
            if let Some(session) = &self.picks.session {
                session.leave(pid);
            }
            self.roll.leave(pid);
        }
        for pid in self.roll.picks() {
            let manner = self.picks.manner;
            let session = self.picks.session.get_or_insert_with(|| {
                self.picks.balanced = (Instant::now(), clock::thread_cpu());
                Traced::begin(manner)
            });
            session.observe(pid);
            self.roll.trace(clock::now(), pid);
            self.picks.ended.processes += 1;
            self.picks.account.get_or_insert_default().processes += 1;
        }
    }

    /// Tells the session what it may use, and ends it when nobody is traced any more.
    pub(super) fn tend_session(&mut self) {
        self.picks.balance();
        self.end_idle_session();
    }

    /// While there is a session each system call of the host may cost more.
    fn end_idle_session(&mut self) {
        if self.picks.session.is_none() || !self.roll.traced().is_empty() {
            self.picks.idle = None;
            return;
        }
        let since = *self.picks.idle.get_or_insert_with(Instant::now);
        if since.elapsed() >= IDLE {
            self.ask(&[]);
            self.picks.ended = self.picks.account.unwrap_or_default();
            self.picks.session = None;
            own::return_memory();
        }
    }

    /// Judges those that are traced by what their calls tell. Who was judged so lately is not asked
    /// again before that has been paid for.
    pub(super) fn ask_traced(&mut self) {
        let traced = self.roll.traced();
        let wanted = self
            .picks
            .wanted(&traced, |pid| !self.roll.is_judged_by_events(pid));
        if wanted.is_empty() {
            return;
        }
        let (at, before) = (Instant::now(), clock::cpu());
        self.ask(&wanted);
        // What the reports were made with.
        own::return_memory();
        self.picks.asked = Some((at, Nanos(clock::cpu().since(before))));
    }

    fn ask(&mut self, pids: &[Pid]) {
        let Some(session) = &self.picks.session else {
            return;
        };
        let (reports, account) = match session.reports(pids) {
            Ok(told) => told,
            Err(why) => {
                self.note(format!("processes could not be traced: {why}"));
                let traced = self.roll.traced();
                traced.iter().for_each(|pid| self.roll.leave(*pid));
                return;
            }
        };
        let ended = self.picks.ended;
        self.picks.account = Some(Tracing {
            processes: ended.processes,
            events: ended.events + account.events,
            lost: ended.lost + account.lost,
            pauses: ended.pauses + account.pauses,
            paused_ns: ended.paused_ns + account.paused_ns,
        });
        for (pid, report) in reports {
            let Some(report) = report else {
                self.roll.leave(pid);
                continue;
            };
            let rollup = crowd::rollup(pid).ok();
            let vmas = report.mappings.len() as u64;
            let rss = rollup.map(|rollup| rollup.rss);
            let judgement = Judgement::of_events(report.explanation, rollup);
            self.roll
                .judge(clock::now(), pid, Depth::Residency, vmas, rss, judgement);
        }
    }
}

//! What was published last, and how clients were served: shared by who audits and who answers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    audit::{export::Digest, row::Audit},
    host::clock,
    units::Nanos,
    view::{
        self,
        audit::Layout,
        serve::{Exposition, Own, Requests, status},
    },
};

/// Without a sign of life for so long, the audit is taken to be stuck. Reading one large process'
/// map takes a second or two at the most.
const STUCK: Duration = Duration::from_secs(120);

/// Pages that are made of an edition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Metrics.
    Metrics(Exposition),
    /// The audit in JSON.
    Audit,
    /// The status in JSON.
    Status,
}

/// All that is told until the next one. A page is made when it is asked for first, and kept.
pub struct Edition {
    digest: Digest,
    audit: Audit,
    own: Own,
    pages: [OnceLock<Arc<str>>; 4],
}

impl Edition {
    /// An edition of this.
    #[must_use]
    pub fn new(digest: Digest, audit: Audit, own: Own) -> Self {
        Self {
            digest,
            audit,
            own,
            pages: Default::default(),
        }
    }

    /// A page.
    #[must_use]
    pub fn page(&self, page: Page) -> Arc<str> {
        let slot = match page {
            Page::Metrics(Exposition::Text) => 0,
            Page::Metrics(Exposition::OpenMetrics) => 1,
            Page::Audit => 2,
            Page::Status => 3,
        };
        self.pages[slot].get_or_init(|| self.make(page)).clone()
    }

    fn make(&self, page: Page) -> Arc<str> {
        match page {
            Page::Metrics(exposition) => {
                view::serve::render(&self.digest, &self.own, exposition).into()
            }
            Page::Status => status::render(&self.digest, &self.own).into(),
            Page::Audit => {
                let mut document = Vec::new();
                // Writing to memory cannot fail, and JSON is text.
                let _ = view::audit::write_json(&self.audit, Layout::Line, &mut document);
                String::from_utf8_lossy(&document).into()
            }
        }
    }
}

/// Where editions are published.
#[derive(Default)]
pub struct Board {
    edition: Mutex<Option<Arc<Edition>>>,
    /// When the audit last gave a sign of life, by the clock of [`clock::now`].
    alive: AtomicU64,
    open: AtomicU64,
    refused: AtomicU64,
    timed_out: AtomicU64,
    answers: Mutex<BTreeMap<u16, u64>>,
}

impl Board {
    /// From now on this is what is told.
    pub fn publish(&self, edition: Edition) {
        let edition = Some(Arc::new(edition));
        // The one before is let go of outside the lock.
        let before = std::mem::replace(&mut *held(&self.edition), edition);
        drop(before);
    }

    /// What was published last.
    #[must_use]
    pub fn edition(&self) -> Option<Arc<Edition>> {
        held(&self.edition).clone()
    }

    /// The audit gives a sign of life.
    pub fn beat(&self) {
        self.alive.store(clock::now().0, Relaxed);
    }

    /// For how long the audit has been stuck, if it is.
    #[must_use]
    pub fn stuck(&self) -> Option<Duration> {
        let silent = clock::now().since(Nanos(self.alive.load(Relaxed)));
        let silent = Duration::from_nanos(silent);
        (silent > STUCK).then_some(silent)
    }

    /// How clients were served so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        Requests {
            open: self.open.load(Relaxed),
            refused: self.refused.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
            answers: held(&self.answers).clone(),
        }
    }

    pub(super) fn answered(&self, code: u16) {
        *held(&self.answers).entry(code).or_default() += 1;
    }

    pub(super) fn has_open(&self, connections: usize) {
        let connections = u64::try_from(connections).unwrap_or(u64::MAX);
        self.open.store(connections, Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn timed_out(&self) {
        self.timed_out.fetch_add(1, Relaxed);
    }
}

/// What is locked is whole at any moment, even if its holder panicked.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What the kernel side says in words, on its cold paths: aya-log's records in, lines out.

use std::sync::{Arc, Mutex, PoisonError};

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

/// The kernel side's log.
pub struct Words {
    logger: EbpfLogger<Collector>,
    lines: Arc<Mutex<Vec<String>>>,
}

struct Collector(Arc<Mutex<Vec<String>>>);

impl Log for Collector {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(record.args().to_string());
    }

    fn flush(&self) {}
}

impl Words {
    /// Begins to collect. To be called after the programs were loaded.
    ///
    /// # Errors
    /// The object has no log.
    pub(super) fn collect(ebpf: &mut Ebpf) -> Result<Self, aya_log::Error> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let logger = EbpfLogger::init_with_logger(ebpf, Collector(Arc::clone(&lines)))?;
        Ok(Self { logger, lines })
    }

    /// The lines since the last call.
    pub(super) fn take(&mut self) -> Vec<String> {
        self.logger.flush();
        std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

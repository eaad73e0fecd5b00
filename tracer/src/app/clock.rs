//! Waiting: what ends it is time, or a signal.

use std::time::Duration;

use anyhow::Context as _;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Time is over.
    Time,
    /// It is to end: SIGINT or SIGTERM.
    End,
    /// Settings are to be read again: SIGHUP.
    Reload,
}

/// Waits.
pub struct Clock {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Clock {
    /// From now on signals end nothing but waits. SIGHUP is let be unless it means `reload`.
    pub fn start(reload: bool) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the asynchronous runtime")?;
        let within = runtime.enter();
        let listen = |kind| signal(kind).context("cannot listen to signals");
        let interrupt = listen(SignalKind::interrupt());
        let terminate = listen(SignalKind::terminate());
        let hangup = reload.then(|| listen(SignalKind::hangup())).transpose();
        drop(within);
        Ok(Self {
            runtime,
            interrupt: interrupt?,
            terminate: terminate?,
            hangup: hangup?,
        })
    }

    /// Waits so long at most.
    pub fn wait(&mut self, time: Duration) -> Woken {
        let Self {
            runtime,
            interrupt,
            terminate,
            hangup,
        } = self;
        let reloaded = async {
            match hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = interrupt.recv() => Woken::End,
                _ = terminate.recv() => Woken::End,
                _ = reloaded => Woken::Reload,
                () = sleep(time) => Woken::Time,
            }
        })
    }
}

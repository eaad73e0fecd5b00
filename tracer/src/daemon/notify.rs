//! What a service manager is told: `sd_notify(3)`'s protocol, where `NOTIFY_SOCKET` asks for it.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::{Duration, Instant},
};

use crate::units::Nanos;

/// Tells the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    /// How often it wants a sign of life, and when it got the last one.
    watchdog: Option<(Duration, Instant)>,
}

impl Notifier {
    /// By this process' environment.
    ///
    /// # Errors
    /// There is a socket that cannot be used.
    pub fn from_environment() -> io::Result<Self> {
        let variable = |name: &str| env::var_os(name);
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        let is_meant =
            number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let period = number("WATCHDOG_USEC").filter(|usec| is_meant && *usec > 0);
        Self::new(variable("NOTIFY_SOCKET"), period.map(Duration::from_micros))
    }

    fn new(socket: Option<OsString>, watchdog: Option<Duration>) -> io::Result<Self> {
        let Some(socket) = socket else {
            return Ok(Self::default());
        };
        let connected = UnixDatagram::unbound()?;
        connected.connect_addr(&address(&socket)?)?;
        // A manager that does not read must not stop the audit.
        connected.set_nonblocking(true)?;
        Ok(Self {
            socket: Some(connected),
            watchdog: watchdog.map(|period| (period / 2, Instant::now())),
        })
    }

    /// All is up; or settings were read again.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// Settings are being read again.
    pub fn reloading(&self, now: Nanos) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.0 / 1000));
    }

    /// It is about to end.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Gives a sign of life, if one is due.
    pub fn beat(&mut self) {
        let Some((period, last)) = self.watchdog else {
            return;
        };
        if last.elapsed() >= period {
            self.send("WATCHDOG=1");
            self.watchdog = Some((period, Instant::now()));
        }
    }

    /// How long nothing is due.
    #[must_use]
    pub fn rest(&self) -> Option<Duration> {
        self.watchdog
            .map(|(period, last)| period.saturating_sub(last.elapsed()))
    }

    fn send(&self, state: &str) {
        if let Some(socket) = &self.socket {
            // Whoever does not listen has said so.
            let _ = socket.send(state.as_bytes());
        }
    }
}

/// A path, or a name in the abstract namespace, which begins with `@`.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(socket),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is neither a path nor an abstract name",
        )),
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_told() {
        let name = format!("tracer-notify-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let manager = UnixDatagram::bind_addr(&address).expect("nobody has it");
        let socket = OsString::from(format!("@{name}"));
        let period = Some(Duration::from_nanos(2));
        let mut notifier = Notifier::new(Some(socket), period).expect("it is there");
        let told = || {
            let mut text = [0; 200];
            let length = manager.recv(&mut text).expect("it was told");
            String::from_utf8_lossy(&text[..length]).into_owned()
        };
        notifier.ready("a\nb");
        assert_eq!(told(), "READY=1\nSTATUS=a b");
        notifier.reloading(Nanos(5_000));
        assert_eq!(told(), "RELOADING=1\nMONOTONIC_USEC=5");
        notifier.beat();
        assert_eq!(told(), "WATCHDOG=1");
        notifier.stopping();
        assert_eq!(told(), "STOPPING=1");
    }

    #[test]
    fn without_one_nothing_happens() {
        let mut notifier = Notifier::new(None, None).expect("nothing is tried");
        notifier.ready("");
        notifier.beat();
        assert_eq!(notifier.rest(), None);
        assert!(Notifier::new(Some("relative".into()), None).is_err());
    }
}

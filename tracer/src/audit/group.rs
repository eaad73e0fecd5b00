//! Which control group a process is in, and what that says of it: the text of
//! `/proc/<pid>/cgroup` in; container, pod and systemd unit out.
//!
//! Told from the path alone, by the conventions of the runtimes that make it. Nothing is asked of
//! them, and a path that follows none of the conventions is a path.

use serde::Serialize;

/// Hexadecimal digits of a container's full id.
const ID_LENGTH: usize = 64;

/// A control group.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Group {
    /// Its path, below the root of its hierarchy.
    pub path: String,
    /// The container that the path tells of.
    pub container: Option<Container>,
    /// The Kubernetes pod, by its uid.
    pub pod: Option<String>,
    /// The systemd unit: the innermost service or scope, else the innermost slice.
    pub unit: Option<String>,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Container {
    /// Who made it, as far as the path says.
    pub runtime: Runtime,
    /// Its id, or its name where that is in the path.
    pub id: String,
}

/// Who makes containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// Docker.
    Docker,
    /// containerd, by its Kubernetes interface.
    Containerd,
    /// CRI-O.
    CriO,
    /// Podman.
    Podman,
    /// LXC and LXD.
    Lxc,
    /// systemd-nspawn and other machines of systemd.
    Machine,
    /// Somebody: the path has an id, but no name.
    Unknown,
}

impl Runtime {
    /// Its name, as documents have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Podman => "podman",
            Self::Lxc => "lxc",
            Self::Machine => "machine",
            Self::Unknown => "unknown",
        }
    }
}

/// What begins the name of a container's scope (`PREFIX-ID.scope`), and whose it is.
const SCOPES: [(&str, Runtime); 5] = [
    ("docker-", Runtime::Docker),
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("crio-", Runtime::CriO),
    ("libpod-", Runtime::Podman),
];

impl Group {
    /// Reads the text of `/proc/<pid>/cgroup`. Of several hierarchies the unified one decides
    /// unless the process is at its root there; then that of the memory controller, then
    /// systemd's own.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            Some((controllers, path))
        });
        let weight = |controllers: &str, path: &str| match controllers {
            "" if path != "/" => 3,
            _ if controllers.split(',').any(|one| one == "memory") => 2,
            "name=systemd" | "" => 1,
            _ => 0,
        };
        let path = lines.max_by_key(|(controllers, path)| weight(controllers, path));
        path.map_or_else(Self::default, |(_, path)| Self::of_path(path))
    }

    /// What a path says.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        // The kernel says so of a group that was removed.
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        Self {
            path: path.to_owned(),
            container: container(&parts),
            pod: parts.iter().find_map(|part| pod(part)),
            unit: unit(&parts),
        }
    }

    /// The name that people know it by: the container in short, else the unit, else the path.
    #[must_use]
    pub fn title(&self) -> String {
        const SHORT: usize = 12;
        match (&self.container, &self.unit) {
            (Some(container), _) => match container.id.get(..SHORT) {
                Some(short) if is_id(&container.id) => short.to_owned(),
                _ => container.id.clone(),
            },
            (None, Some(unit)) => unit.clone(),
            (None, None) => self.path.clone(),
        }
    }
}

/// The innermost container.
fn container(parts: &[&str]) -> Option<Container> {
    let made = |runtime, id: &str| {
        Some(Container {
            runtime,
            id: id.to_owned(),
        })
    };
    for (at, part) in parts.iter().enumerate().rev() {
        let name = part.strip_suffix(".scope").unwrap_or(part);
        for (prefix, runtime) in SCOPES {
            if let Some(id) = name.strip_prefix(prefix)
                && is_id(id)
            {
                return made(runtime, id);
            }
        }
        if let Some(machine) = name.strip_prefix("machine-")
            && part.ends_with(".scope")
        {
            return made(Runtime::Machine, &unescaped(machine));
        }
        if let Some(name) = part.strip_prefix("lxc.payload.") {
            return made(Runtime::Lxc, name);
        }
        let parent = at.checked_sub(1).and_then(|at| parts.get(at));
        if parent == Some(&"lxc") {
            return made(Runtime::Lxc, part);
        }
        // Under the cgroupfs driver, and in containerd's own, the id stands alone; containerd
        // puts `:PREFIX:` before it where systemd's names reach it unresolved.
        let id = part.rsplit(':').next().unwrap_or(part);
        if is_id(id) {
            let runtime = match parent {
                Some(&"docker") => Runtime::Docker,
                _ if part.contains(":cri-containerd:") => Runtime::Containerd,
                Some(parent) if parent.starts_with("libpod_parent") => Runtime::Podman,
                _ => Runtime::Unknown,
            };
            return made(runtime, id);
        }
    }
    None
}

fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The uid in `podUID` or `kubepods-QOS-podUID.slice`, where systemd's names have `_` for `-`.
fn pod(part: &str) -> Option<String> {
    let part = part.split(':').next().unwrap_or(part);
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let name = match name.strip_prefix("kubepods-") {
        // `kubepods-podUID` or `kubepods-burstable-podUID`.
        Some(rest) => rest.rsplit_once("-pod").map_or(rest, |(_, uid)| uid),
        None => name,
    };
    let uid = name.strip_prefix("pod").unwrap_or(name).replace('_', "-");
    // A uid, or the hash by which static pods are known.
    let hex = uid.bytes().filter(|byte| *byte != b'-');
    let plain = hex.clone().all(|byte| byte.is_ascii_hexdigit());
    let in_pods = part.starts_with("pod") || part.starts_with("kubepods-");
    (in_pods && plain && hex.count() == 32).then_some(uid)
}

/// The innermost `.service` or `.scope` that is no container's, else the innermost `.slice`.
fn unit(parts: &[&str]) -> Option<String> {
    let ends = |suffixes: &[&str]| {
        let mut parts = parts.iter().rev();
        parts
            .find(|part| suffixes.iter().any(|suffix| part.ends_with(suffix)))
            .map(|part| unescaped(part))
    };
    ends(&[".service", ".scope"]).or_else(|| ends(&[".slice"]))
}

/// systemd writes `\x2d` for `-` and the like in parts of a name.
fn unescaped(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let escaped = match behind {
            [b'x', high, low, ..] if byte == b'\\' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        rest = match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                behind.get(3..).unwrap_or_default()
            }
            None => {
                bytes.push(byte);
                behind
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn of(path: &str) -> Group {
        Group::of_path(&path.replace("ID", ID))
    }

    fn container(path: &str) -> Option<Runtime> {
        let container = of(path).container?;
        assert_eq!(container.id, ID, "{path}");
        Some(container.runtime)
    }

    #[test]
    fn containers_are_told_by_the_conventions_of_their_runtimes() {
        for (path, runtime) in [
            ("/system.slice/docker-ID.scope", Runtime::Docker),
            ("/docker/ID", Runtime::Docker),
            ("/docker/ID/init.scope", Runtime::Docker),
            ("/kubepods/burstable/pod1/ID", Runtime::Unknown),
            (
                "/kubepods.slice/x.slice/cri-containerd-ID.scope",
                Runtime::Containerd,
            ),
            ("/kubepods.slice/x.slice/crio-ID.scope", Runtime::CriO),
            ("/kubepods.slice/x.slice/crio-ID", Runtime::CriO),
            ("/machine.slice/libpod-ID.scope/container", Runtime::Podman),
            ("/libpod_parent/libpod-ID", Runtime::Podman),
            ("/system.slice/nerdctl-ID.scope", Runtime::Containerd),
            (
                "/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:ID",
                Runtime::Containerd,
            ),
            ("/default/ID", Runtime::Unknown),
            ("/ecs/6d9/ID", Runtime::Unknown),
        ] {
            assert_eq!(container(path), Some(runtime), "{path}");
        }
        let named = |path: &str| {
            let container = Group::of_path(path).container.expect("a container");
            (container.runtime, container.id)
        };
        assert_eq!(
            named("/machine.slice/machine-web\\x2d1.scope/payload"),
            (Runtime::Machine, "web-1".to_owned())
        );
        assert_eq!(named("/lxc.payload.db"), (Runtime::Lxc, "db".to_owned()));
        assert_eq!(named("/lxc/db/init"), (Runtime::Lxc, "db".to_owned()));
        for none in [
            "/",
            "",
            "/system.slice/docker.service",
            "/system.slice/docker-0123.scope",
            "/user.slice/user-1000.slice/session-2.scope",
        ] {
            assert_eq!(Group::of_path(none).container, None, "{none}");
        }
    }

    #[test]
    fn the_innermost_container_counts() {
        let inner = ID.replace('0', "f");
        let path = format!("/docker/{ID}/docker/{inner}");
        let container = Group::of_path(&path).container.expect("a container");
        assert_eq!(container.id, inner);
    }

    #[test]
    fn pods_are_told_by_both_drivers() {
        let uid = "2b801b7a-5266-4386-864e-45ed71136371";
        let flat = uid.replace('-', "_");
        for path in [
            format!("/kubepods/besteffort/pod{uid}/{ID}"),
            format!(
                "/kubepods.slice/kubepods-besteffort.slice/\
                 kubepods-besteffort-pod{flat}.slice/cri-containerd-{ID}.scope"
            ),
            format!("/kubepods.slice/kubepods-pod{flat}.slice/crio-{ID}.scope"),
        ] {
            assert_eq!(Group::of_path(&path).pod.as_deref(), Some(uid), "{path}");
        }
        // Static pods are known by the hash of their manifest.
        let hash = "0123456789abcdef0123456789abcdef";
        let path = format!("/kubepods/burstable/pod{hash}/{ID}");
        assert_eq!(Group::of_path(&path).pod.as_deref(), Some(hash));
        assert_eq!(Group::of_path("/podman/x").pod, None);
        assert_eq!(Group::of_path("/kubepods/burstable").pod, None);
    }

    #[test]
    fn units_are_the_innermost_service_or_scope() {
        let unit = |path: &str| Group::of_path(path).unit;
        assert_eq!(
            unit("/system.slice/cron.service").as_deref(),
            Some("cron.service")
        );
        assert_eq!(
            unit("/user.slice/user-0.slice/user@0.service/app.slice/app-x\\x2dy.scope/a")
                .as_deref(),
            Some("app-x-y.scope")
        );
        assert_eq!(
            unit("/user.slice/user-0.slice").as_deref(),
            Some("user-0.slice")
        );
        assert_eq!(unit("/"), None);
        assert_eq!(unit("/a/b"), None);
    }

    #[test]
    fn the_right_hierarchy_is_read() {
        let path = |text: &str| Group::parse(text).path;
        assert_eq!(path("0::/a.service\n"), "/a.service");
        // Version 1, and both at once.
        let first = "12:cpu,cpuacct:/c\n5:memory:/m\n1:name=systemd:/s\n";
        assert_eq!(path(first), "/m");
        assert_eq!(path("1:name=systemd:/s\n2:cpu:/c\n"), "/s");
        assert_eq!(path("5:memory:/m\n1:name=systemd:/s\n0::/\n"), "/m");
        assert_eq!(path("5:memory:/m\n0::/u.service\n"), "/u.service");
        // A path may contain colons, and the group may be gone.
        assert_eq!(path("0::/a:b\n"), "/a:b");
        assert_eq!(path("0::/a (deleted)\n"), "/a");
        assert_eq!(path("nonsense"), "");
        assert_eq!(path(""), "");
    }

    #[test]
    fn what_people_know_it_by() {
        assert_eq!(of("/docker/ID").title(), "0123456789ab");
        assert_eq!(of("/system.slice/cron.service").title(), "cron.service");
        assert_eq!(of("/lxc/database-one").title(), "database-one");
        assert_eq!(of("/a").title(), "/a");
    }
}

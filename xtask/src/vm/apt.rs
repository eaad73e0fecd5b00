//! An apt of its own: package names in, unpacked packages out. Touches nothing of the system's
//! apt but reads which mirror and which proxy it uses; needs no root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use super::arch::Arch;
use super::mirror::Mirrors;
use super::packages;
use crate::exec;

/// Signs Debian's archives; part of Debian, and packaged elsewhere under the same name.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// How long lists of packages are taken for true.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// What of the system's configuration decides whether a mirror can be reached.
const INHERITED: [&str; 4] = [
    "Acquire::http",
    "Acquire::https",
    "Acquire::Retries",
    "Acquire::ForceIPv4",
];

/// A private state of apt.
pub struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Sets it up in `folder`, and fetches the lists unless those there are fresh.
    pub fn open(folder: PathBuf, arch: Arch, mirror: Option<&str>) -> Result<Self> {
        let apt = Self { folder };
        for part in ["state/lists/partial", "cache/archives/partial", "none"] {
            let part = apt.folder.join(part);
            fs::create_dir_all(&part)
                .with_context(|| format!("cannot create {}", part.display()))?;
        }
        let mirrors = match mirror {
            Some(address) => Mirrors::named(address),
            None => system_mirrors(),
        };
        ensure!(
            !mirrors.is_empty(),
            "apt on this system knows no Debian mirror to take kernels from: name one with `--mirror http://…/debian`"
        );
        ensure!(
            Path::new(KEYRING).exists(),
            "the kernels' signatures cannot be checked without {KEYRING}: install the package debian-archive-keyring"
        );
        apt.write("status", "")?;
        apt.write("apt.conf", &apt.configuration(arch))?;
        let sources = mirrors.sources(KEYRING);
        let changed = fs::read_to_string(apt.folder.join("kernels.sources"))
            .map_or(true, |old| old != sources);
        apt.write("kernels.sources", &sources)?;
        if changed || !apt.is_fresh() {
            apt.update()?;
        }
        Ok(apt)
    }

    /// The names of all packages that begin so.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let mut command = self.command("apt-cache");
        let text = exec::capture(command.args(["pkgnames", prefix]), "apt-cache pkgnames")?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Downloads a package and unpacks it into `folder`, which must not exist.
    pub fn unpack(&self, package: &str, folder: &Path) -> Result<()> {
        self.unpack_all(&[package.to_owned()], folder)
    }

    /// The same for packages of a suite, with all that they need to be installed on nothing.
    pub fn unpack_system(&self, suite: &str, packages: &[&str], folder: &Path) -> Result<()> {
        let mut command = self.command("apt-get");
        command
            .args(["--simulate", "--no-install-recommends"])
            .args(["--target-release", suite, "install"])
            .args(packages);
        let plan = exec::capture(&mut command, "asking apt what packages need")?;
        self.unpack_all(&packages::to_install(&plan), folder)
    }

    fn unpack_all(&self, packages: &[String], folder: &Path) -> Result<()> {
        let archive = folder.with_extension("deb-folder");
        let _ = fs::remove_dir_all(&archive);
        fs::create_dir_all(&archive)
            .with_context(|| format!("cannot create {}", archive.display()))?;
        let mut command = self.command("apt-get");
        command.current_dir(&archive).arg("download").args(packages);
        let what = format!("downloading {}", packages.join(" "));
        let result = exec::logged(&mut command, &what, &self.log("download"))
            .and_then(|()| packages::extract_all(&archive, folder));
        // Its content is unpacked now, or nobody wants it.
        let _ = fs::remove_dir_all(&archive);
        result
    }

    fn update(&self) -> Result<()> {
        println!("      apt-get update, in {}", self.folder.display());
        let mut command = self.command("apt-get");
        let result = exec::logged(
            command.arg("update"),
            "fetching lists of kernels",
            &self.log("update"),
        );
        // Fails if one suite of many is not there; what matters is whether any is.
        if self.names("linux-image-")?.is_empty() {
            return result.and_then(|()| bail!("the mirror has no kernels"));
        }
        if result.is_err() {
            let log = self.log("update");
            println!("      not all suites could be had, see {}", log.display());
        }
        self.write("updated", "")
    }

    fn is_fresh(&self) -> bool {
        let updated = fs::metadata(self.folder.join("updated"));
        let modified = updated.and_then(|metadata| metadata.modified());
        modified.is_ok_and(|then| {
            SystemTime::now()
                .duration_since(then)
                .is_ok_and(|age| age < FRESH)
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("APT_CONFIG", self.folder.join("apt.conf"))
            .env("LC_ALL", "C");
        command
    }

    /// Lists may be old: a mirror that is behind has kernels too, and signatures are checked.
    fn configuration(&self, arch: Arch) -> String {
        let folder = self.folder.display();
        let arch = arch.debian();
        let inherited: String = exec::probe(Command::new("apt-config").arg("dump"))
            .unwrap_or_default()
            .lines()
            .filter(|line| INHERITED.iter().any(|key| line.starts_with(key)))
            .map(|line| format!("{line}\n"))
            .collect();
        format!(
            "{inherited}Dir \"{folder}/\";\n\
             Dir::State \"{folder}/state\";\n\
             Dir::State::status \"{folder}/status\";\n\
             Dir::Cache \"{folder}/cache\";\n\
             Dir::Etc::sourcelist \"{folder}/kernels.sources\";\n\
             Dir::Etc::sourceparts \"{folder}/none\";\n\
             Dir::Etc::parts \"{folder}/none\";\n\
             Dir::Etc::preferencesparts \"{folder}/none\";\n\
             Dir::Etc::trustedparts \"{folder}/none\";\n\
             Dir::Etc::netrc \"/etc/apt/auth.conf\";\n\
             Dir::Etc::netrcparts \"/etc/apt/auth.conf.d\";\n\
             APT::Architecture \"{arch}\";\n\
             APT::Architectures {{ \"{arch}\"; }};\n\
             APT::Sandbox::User \"\";\n\
             Acquire::Check-Valid-Until \"false\";\n\
             Acquire::Languages \"none\";\n"
        )
    }

    fn log(&self, task: &str) -> PathBuf {
        self.folder.join(task).with_extension("log")
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The mirrors that the system's own apt uses.
fn system_mirrors() -> Mirrors {
    let mut command = Command::new("apt-get");
    command.args(["update", "--print-uris"]).env("LC_ALL", "C");
    Mirrors::parse(&exec::probe(&mut command).unwrap_or_default())
}

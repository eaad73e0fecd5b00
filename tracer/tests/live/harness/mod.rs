//! What the tests share: programs to run and to stop, the tracer, the kernel's word, the
//! tracer's.

mod account;
mod family;
mod folder;
pub mod http;
mod kernel;
mod process;
mod tracer;

pub use account::Account;
pub use family::{Family, StoppedFamily, has_memory};
pub use folder::Folder;
pub use kernel::{
    Picture, Stopped, bpf_memory_of, bpf_programs, bpf_programs_of, calls_kept_of, is_target,
    vm_size,
};
pub use process::{Lines, Running, Target, raw};
pub use tracer::{Ended, Tracer};

use std::{
    env,
    ffi::OsStr,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// How long anything may take: long, because a slow machine is no failure. `LIVE_PATIENCE`, in
/// seconds, makes it longer, for machines that are emulated.
pub fn patience() -> Duration {
    let given = env::var("LIVE_PATIENCE").ok();
    Duration::from_secs(given.and_then(|text| text.parse().ok()).unwrap_or(60))
}

/// Between two looks at something that is waited for.
const GLANCE: Duration = Duration::from_millis(5);

pub const MIB: u64 = 1 << 20;

/// Waits until `look` finds something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        let waited = began.elapsed();
        assert!(waited < patience(), "waited {waited:?} in vain for {what}");
        thread::sleep(GLANCE);
    }
}

/// The tracer under test: the one that `cargo xtask test` names, or else Cargo's.
pub fn tracer_program() -> PathBuf {
    env::var_os("TRACER_BIN").map_or_else(|| env!("CARGO_BIN_EXE_tracer").into(), PathBuf::from)
}

/// The workload, which is another package's: only `cargo xtask test` knows where it is.
pub fn workload_program() -> PathBuf {
    let path = env::var_os("WORKLOAD_BIN").expect("WORKLOAD_BIN is set: run `cargo xtask test`");
    path.into()
}

/// The workload where this malloc has taken the place of the C library's, if it was built:
/// "hardened" or "tcmalloc".
pub fn workload_on(malloc: &str) -> Option<PathBuf> {
    let path = workload_program().with_file_name(format!("workload-{malloc}"));
    path.is_file().then_some(path)
}

/// Compiles a class of Java into a folder, and tells what runs it; skips where there is none.
pub fn compiled_java(folder: &Folder, class: &str, source: &str) -> Option<PathBuf> {
    let (Some(compiler), Some(java)) = (installed("javac"), installed("java")) else {
        skip("no java");
        return None;
    };
    let path = folder.join(&format!("{class}.java"));
    std::fs::write(&path, source).expect("own folder");
    let compiled = command(compiler)
        .arg("-d")
        .arg(folder.path())
        .arg(path)
        .status();
    assert!(compiled.expect("javac starts").success());
    Some(java)
}

/// The folder of all packages.
pub fn workspace() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&package).parent();
    root.expect("the package lies in the workspace").to_owned()
}

/// Where a program is on the path, if it is installed.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut places = env::split_paths(&path).map(|folder| folder.join(program));
    places.find(|place| place.is_file())
}

/// Whether a library can be preloaded; none always can.
pub fn preloadable(library: &str) -> bool {
    library.is_empty() || preload(library).is_some()
}

/// Where a library is that can be preloaded. `clang:NAME` is one that comes with clang, of the
/// newest version that there is.
pub fn preload(library: &str) -> Option<PathBuf> {
    const FOLDERS: [&str; 5] = [
        "/usr/lib",
        "/lib",
        "/usr/lib64",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
    ];
    let mut places: Vec<PathBuf> = match library.strip_prefix("clang:") {
        None => FOLDERS.map(|folder| Path::new(folder).join(library)).into(),
        Some(name) => clang_folders()
            .map(|folder| folder.join(format!("libclang_rt.{name}-{}.so", env::consts::ARCH)))
            .collect(),
    };
    places.retain(|place| place.is_file());
    places.into_iter().next()
}

/// Where clang has its libraries, newest version first.
fn clang_folders() -> impl Iterator<Item = PathBuf> {
    const NEWEST: u32 = 40;
    const OLDEST: u32 = 11;
    let versions = (OLDEST..=NEWEST).rev();
    let versions = versions.map(|version| format!("/usr/lib/llvm-{version}/lib/clang"));
    versions.flat_map(|folder| {
        let inside = fs::read_dir(folder).into_iter().flatten().flatten();
        inside.map(|version| version.path().join("lib/linux"))
    })
}

/// A setting from the environment, if it is there.
pub fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    let value = text.parse().ok();
    assert!(value.is_some(), "{name}={text} is no value of its kind");
    value
}

/// Says on the test's output that there was nothing to test.
pub fn skip(why: &str) {
    println!("skipped: {why}");
}

/// Puts on the test's output what it found out of this kernel. `cargo xtask vm` makes a table of
/// such lines.
pub fn fact(about: &str, what: impl fmt::Display) {
    println!("fact: {about}: {what}");
}

/// A command without settings for allocators that the tests' own caller may have.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let obeyed = |name: &OsStr| {
        let name = name.to_string_lossy();
        [
            "LD_PRELOAD",
            "MALLOC_",
            "GLIBC_TUNABLES",
            "_RJEM",
            "MIMALLOC_",
            "TCMALLOC_",
            "SCUDO_",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in env::vars_os().filter(|(name, _)| obeyed(name)) {
        command.env_remove(name);
    }
    command
}

//! What must be on the system: a scope and a plan in, what is missing and why out.

use std::fs;
use std::path::{Path, PathBuf};

use super::Scope;
use super::compiler::SYSTEM_SYSROOT;
use super::linker;
use super::plan::Plan;
use super::versions::OLDEST_RUSTC;

/// Folders that root's path has too, so that elevated tests find the same programs.
const PROGRAM_FOLDERS: [&str; 5] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// One thing that can be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What it is called where there is no apt.
    pub what: &'static str,
    /// Packages that all must be installed.
    pub packages: &'static [&'static str],
    /// Names the package has in other releases, where it is but one.
    pub other_names: &'static [&'static str],
    /// What for.
    pub why: &'static str,
    /// Whether work can go on without it.
    pub optional: bool,
}

const fn need(what: &'static str, packages: &'static [&'static str], why: &'static str) -> Need {
    Need {
        what,
        packages,
        other_names: &[],
        why,
        optional: false,
    }
}

/// A Rust compiler with core's sources.
pub const COMPILER: Need = need(
    "a Rust compiler with core's sources",
    &["rustc-web", "cargo-web", "rust-web-src"],
    "compiles the probes; your rustup toolchains stay as they are",
);
const LLVM: Need = need(
    "LLVM 22 with its development files",
    &["llvm-22-dev"],
    "bpf-linker links the probes with it",
);
const CLIPPY: Need = Need {
    optional: true,
    ..need(
        "clippy of that compiler",
        &["rust-web-clippy"],
        "checks the probes",
    )
};

/// Things found by their program.
const BUILD_PROGRAMS: [(&str, Need); 3] = [
    (
        "cc",
        need(
            "cc",
            &["gcc"],
            "compiles the allocators inside the workload",
        ),
    ),
    (
        "c++",
        need("c++", &["g++"], "compiles the snmalloc inside the workload"),
    ),
    (
        "make",
        need("make", &["make"], "builds the jemalloc inside the workload"),
    ),
];
const TEST_PROGRAMS: [(&str, Need); 11] = [
    (
        "musl-gcc",
        Need {
            optional: true,
            ..need(
                "musl-gcc",
                &["musl-tools"],
                "compiles a program on another C library that tests trace",
            )
        },
    ),
    (
        "gcc",
        need("gcc", &["gcc"], "compiles C programs that tests trace"),
    ),
    (
        "objcopy",
        need(
            "objcopy, nm, readelf and strip",
            &["binutils"],
            "packages programs that tests trace as distributions do",
        ),
    ),
    (
        "xz",
        need(
            "xz",
            &["xz-utils"],
            "packs symbols into a program as Fedora does, for tests",
        ),
    ),
    (
        "dwz",
        Need {
            optional: true,
            ..need(
                "dwz",
                &["dwz"],
                "makes debug files that tests read smaller, as distributions do",
            )
        },
    ),
    (
        "strace",
        need(
            "strace",
            &["strace"],
            "a second witness of the calls in tests",
        ),
    ),
    (
        "setcap",
        need(
            "setcap",
            &["libcap2-bin"],
            "gives a tracer in tests some rights of root and no others",
        ),
    ),
    (
        "python3",
        need(
            "python3",
            &["python3"],
            "a program with a runtime that tests trace",
        ),
    ),
    (
        "go",
        Need {
            optional: true,
            ..need(
                "go",
                &["golang-go"],
                "builds a program of another runtime that tests trace, and opens profiles",
            )
        },
    ),
    (
        "stress-ng",
        Need {
            optional: true,
            ..need(
                "stress-ng",
                &["stress-ng"],
                "stresses memory while tests trace it",
            )
        },
    ),
    (
        "prometheus",
        Need {
            optional: true,
            ..need(
                "prometheus and promtool",
                &["prometheus"],
                "scrapes the daemon in tests, and checks its metrics and rules",
            )
        },
    ),
];

/// Tracers that are compared with. Where one is missing its rows say so.
const PEERS: [(&str, Need); 4] = [
    peer("bpftrace", &["bpftrace"]),
    peer("strace", &["strace"]),
    peer("perf", &["linux-perf"]),
    peer("memleak-bpfcc", &["bpfcc-tools"]),
];

const fn peer(program: &'static str, packages: &'static [&'static str]) -> (&'static str, Need) {
    let need = need(program, packages, "is measured beside the tracer");
    (
        program,
        Need {
            optional: true,
            ..need
        },
    )
}

const VM_PROGRAMS: [(&str, Need); 2] = [
    (
        "gcc",
        need("gcc", &["gcc"], "compiles C programs that tests use"),
    ),
    (
        "strip",
        need("strip", &["binutils"], "makes programs for machines small"),
    ),
];
const ARM64_PROGRAMS: [(&str, Need); 2] = [
    (
        "aarch64-linux-gnu-gcc",
        need(
            "aarch64-linux-gnu-gcc and its C library",
            &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
            "builds the programs that run there",
        ),
    ),
    (
        "aarch64-linux-gnu-g++",
        need(
            "aarch64-linux-gnu-g++",
            &["g++-aarch64-linux-gnu"],
            "compiles the snmalloc inside the workload that runs there",
        ),
    ),
];
const UNPACKER: (&str, Need) = (
    "dpkg-deb",
    need(
        "dpkg-deb",
        &["dpkg"],
        "unpacks Debian's kernels and their emulator",
    ),
);
/// Signs Debian's kernels.
const KEYRING: (&str, Need) = (
    "debian-archive-keyring.gpg",
    need(
        "Debian's archive keyring",
        &["debian-archive-keyring"],
        "checks the signatures of Debian's kernels",
    ),
);

/// Things found by their shared library.
const TEST_LIBRARIES: [(&str, Need); 4] = [
    (
        "libtbbmalloc_proxy.so.2",
        Need {
            optional: true,
            ..need(
                "libtbbmalloc",
                &["libtbbmalloc2"],
                "an allocator that tests preload",
            )
        },
    ),
    (
        "libjemalloc.so.2",
        need(
            "libjemalloc",
            &["libjemalloc2"],
            "an allocator that tests preload",
        ),
    ),
    (
        "libtcmalloc_minimal.so.4",
        Need {
            other_names: &["libtcmalloc-minimal4t64"],
            ..need(
                "libtcmalloc_minimal",
                &["libtcmalloc-minimal4"],
                "an allocator that tests preload",
            )
        },
    ),
    (
        "libmimalloc.so.2",
        Need {
            other_names: &["libmimalloc2.1"],
            ..need(
                "libmimalloc",
                &["libmimalloc2.0"],
                "an allocator that tests preload",
            )
        },
    ),
];

/// Things found by their library among those that come with clang, of whatever version.
const CLANG_LIBRARIES: [(&str, Need); 1] = [(
    "scudo_standalone",
    Need {
        optional: true,
        other_names: &["libclang-rt-19-dev", "libclang-rt-18-dev"],
        ..need(
            "LLVM's scudo_standalone",
            &["libclang-rt-14-dev"],
            "an allocator that tests preload",
        )
    },
)];

/// What `scope` needs and this system has not.
pub fn missing(scope: Scope, plan: &Plan) -> Vec<Need> {
    let mut all = Vec::new();
    if plan.compiler.is_none() {
        all.push(COMPILER);
    }
    if plan.linker.is_none()
        && !Path::new(linker::LLVM_PREFIX)
            .join("lib/libLLVM.so")
            .exists()
    {
        all.push(LLVM);
    }
    all.extend(absent(&BUILD_PROGRAMS, has_program));
    if scope == Scope::Tests {
        all.extend(absent(&TEST_PROGRAMS, has_program));
        all.extend(absent(&TEST_LIBRARIES, has_library));
        all.extend(absent(&CLANG_LIBRARIES, has_clang_library));
        let system = |sysroot: &Path| sysroot == Path::new(SYSTEM_SYSROOT);
        let debian = plan
            .compiler
            .as_ref()
            .is_none_or(|compiler| system(&compiler.sysroot));
        if debian && super::apt::available() && !has_program("cargo-clippy") {
            all.push(CLIPPY);
        }
    }
    match scope {
        Scope::Vm => all.extend(absent(&VM_PROGRAMS, has_program)),
        Scope::VmArm64 => all.extend(absent(&ARM64_PROGRAMS, has_program)),
        Scope::Bench => all.extend(absent(&PEERS, has_program)),
        Scope::Build | Scope::Tests => {}
    }
    if matches!(scope, Scope::Vm | Scope::VmArm64) {
        all.extend(absent(&[UNPACKER], has_program));
        all.extend(absent(&[KEYRING], has_keyring));
    }
    all.dedup_by(|one, other| one.packages == other.packages);
    all
}

/// One line per need: its packages and what they are for.
pub fn describe(needs: &[Need]) -> String {
    let names: Vec<String> = needs.iter().map(|need| need.packages.join(" ")).collect();
    let width = names.iter().map(String::len).max().unwrap_or_default();
    let lines = names
        .iter()
        .zip(needs)
        .map(|(name, need)| format!("  {name:<width$}  {}", need.why));
    lines.collect::<Vec<_>>().join("\n")
}

/// What to type where packages do not help.
pub fn instructions(needs: &[Need], plan: &Plan) -> String {
    let mut lines = Vec::new();
    if plan.compiler.is_none() {
        lines.push(format!(
            "  rustup toolchain install nightly --component rust-src\n    \
             (any toolchain from {OLDEST_RUSTC} on will do while its LLVM is {} or older)",
            linker::LLVM
        ));
    }
    if plan.linker.is_none() {
        lines.push(format!(
            "  LLVM_PREFIX=/path/to/llvm-{} cargo install {}\n    \
             (with LLVM {} from your package manager; or its prebuilt release: cargo binstall bpf-linker@{})",
            linker::LLVM,
            linker::install_arguments().join(" "),
            linker::LLVM,
            linker::VERSION
        ));
    }
    let others: Vec<&str> = needs
        .iter()
        .filter(|need| **need != COMPILER && **need != LLVM)
        .map(|need| need.what)
        .collect();
    if !others.is_empty() {
        lines.push(format!(
            "  (your package manager, for {})",
            others.join(", ")
        ));
    }
    format!("run this, then try again:\n{}", lines.join("\n"))
}

fn absent<'a>(
    list: &'a [(&'a str, Need)],
    has: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = Need> + 'a {
    list.iter()
        .filter(move |(name, _)| !has(name))
        .map(|(_, need)| need.clone())
}

fn has_program(name: &str) -> bool {
    PROGRAM_FOLDERS
        .iter()
        .any(|folder| Path::new(folder).join(name).exists())
}

fn has_keyring(name: &str) -> bool {
    Path::new("/usr/share/keyrings").join(name).exists()
}

fn has_clang_library(name: &str) -> bool {
    let file = format!("libclang_rt.{name}-{}.so", std::env::consts::ARCH);
    let inside = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    inside("/usr/lib".into())
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"llvm-"))
        .flat_map(|entry| inside(entry.path().join("lib/clang")))
        .any(|version| version.path().join("lib/linux").join(&file).exists())
}

fn has_library(name: &str) -> bool {
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    ["/usr/lib", "/lib", "/usr/lib64", "/usr/local/lib"]
        .iter()
        .flat_map(|folder| {
            [
                Path::new(folder).join(name),
                Path::new(folder).join(&multiarch).join(name),
            ]
        })
        .any(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_line_up() {
        let text = describe(&[COMPILER, LLVM]);
        let columns: Vec<_> = text
            .lines()
            .filter_map(|line| line.find("compiles").or(line.find("bpf-linker")))
            .collect();
        assert_eq!(columns.len(), 2);
        assert_eq!(columns[0], columns[1]);
    }

    #[test]
    fn an_empty_system_is_told_both_commands() {
        let text = instructions(
            &[COMPILER, LLVM, TEST_PROGRAMS[5].1.clone()],
            &Plan::default(),
        );
        assert!(text.contains("rustup toolchain install nightly --component rust-src"));
        assert!(text.contains("cargo install bpf-linker"));
        assert!(text.contains("for strace)"));
        assert!(!text.contains("core's sources"));
    }

    #[test]
    fn what_cannot_be_found_is_missing() {
        let list = [("no-such-program", LLVM), ("sh", COMPILER)];
        assert_eq!(absent(&list, has_program).collect::<Vec<_>>(), [LLVM]);
    }
}

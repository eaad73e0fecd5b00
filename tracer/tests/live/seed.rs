//! The first experiment in C, under the allocators that a system has to preload: started by the
//! tracer, compared while it waits for its input.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::harness::{
    Account, Folder, Lines, MIB, Stopped, Tracer, command, installed, skip, workspace,
};

/// What the eight blocks take.
const BLOCKS: u64 = 1024 * MIB;

/// Compiles the experiment, or takes it from `SEED_BIN` where there is no compiler.
pub fn compile(folder: &Folder) -> PathBuf {
    let program = folder.join("seed");
    if let Some(compiled) = env::var_os("SEED_BIN") {
        fs::copy(compiled, &program).expect("SEED_BIN is a program");
        return program;
    }
    build("gcc", &[], &program);
    program
}

/// Builds it with a compiler and flags of its own.
fn build(compiler: &str, flags: &[&str], program: &Path) {
    let source = workspace().join("workload/c/seed.c");
    let mut compiler = Command::new(compiler);
    compiler.args(flags).arg("-O2").arg("-o").arg(program);
    let compiled = compiler.arg(source).status();
    let compiled = compiled.expect("the compiler is installed");
    assert!(compiled.success(), "{compiler:?}");
    // Whatever the umask is: under sudo another user runs it.
    fs::set_permissions(program, Permissions::from_mode(0o755)).expect("own file");
}

/// Runs it with these variables up to its last line, and compares.
fn observe(variables: &[(&str, &str)]) -> Account {
    let folder = Folder::new();
    let program = compile(&folder);
    observe_program(&program, variables)
}

/// The same with a program that is built already.
fn observe_program(program: &Path, variables: &[(&str, &str)]) -> Account {
    let mut tracer = Tracer::launch(&[program], variables);
    let lines = Lines::of(tracer.take_stdout());
    let pid = lines.find_pid();
    lines.find_text("end: ");
    let stopped = Stopped::new(pid);
    let picture = stopped.picture();
    let account = tracer.interrupt().account();
    drop(stopped);

    account.check_against(&picture);
    assert_eq!(account.pid(), pid);
    assert_eq!(
        account.number("/vm_size/peak"),
        picture.vm_peak,
        "VmPeak {account}"
    );
    assert_eq!(account.text("/target/exe"), program.to_string_lossy());
    account
}

/// The same with an allocator that takes malloc's place.
fn observe_with(library: &str, variables: &[(&str, &str)]) -> Account {
    let variables: Vec<_> = [("LD_PRELOAD", library)]
        .iter()
        .chain(variables)
        .copied()
        .collect();
    let account = observe(&variables);
    let mut mappings = account.list("/mappings").iter();
    let is_there = mappings.any(|line| line["name"].to_string().contains(library));
    assert!(is_there, "{library} is installed: {account}");
    account
}

/// About as much as all blocks; allocators round to sizes of their own.
fn is_about_all(bytes: u64) -> bool {
    bytes.abs_diff(BLOCKS) <= BLOCKS / 200
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn glibc_unmaps_each_block() {
    let account = observe(&[]);
    account.expect_verdict("shrank");
    assert!(account.finds("large-chunks-unmapped"), "{account}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn glibc_returns_a_heap_that_is_free_to_its_top() {
    let account = observe(&[("MALLOC_MMAP_MAX_", "0")]);
    account.expect_verdict("shrank");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn glibc_keeps_the_top_of_its_heap_if_told_to() {
    let settings = [
        ("MALLOC_MMAP_MAX_", "0"),
        ("MALLOC_TRIM_THRESHOLD_", "4000000000"),
    ];
    let account = observe(&settings);
    account.expect_verdict("not-released");
    assert!(account.finds("heap-below-trim-threshold"), "{account}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn jemalloc_keeps_the_address_space() {
    let account = observe_with("libjemalloc.so.2", &[]);
    account.expect_verdict("retained-by-allocator");
    let retained = account.ledger("jemalloc", "released-but-retained");
    assert!(is_about_all(retained), "{retained} {account}");
    let ahead = account.ledger("jemalloc", "over-mapped");
    assert!(ahead > 400 * MIB, "{ahead} {account}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn jemalloc_unmaps_if_told_not_to_retain() {
    let account = observe_with("libjemalloc.so.2", &[("MALLOC_CONF", "retain:false")]);
    account.expect_verdict("shrank");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn tcmalloc_never_unmaps() {
    let account = observe_with("libtcmalloc_minimal.so.4", &[]);
    // How much it gives back at a free depends on its version and settings.
    account.expect_verdict("retained-by-allocator or not-released");
    let states = ["live-or-cached", "released-but-retained"];
    let [live, retained] = states.map(|state| account.ledger("tcmalloc", state));
    assert!(live + retained >= BLOCKS, "{live} {retained} {account}");
    let is_retained = account.verdict() == "retained-by-allocator";
    assert_eq!(is_retained, retained > live, "{live} {retained} {account}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn mimalloc_unmaps_blocks_of_that_size() {
    let account = observe_with("libmimalloc.so.2", &[]);
    account.expect_verdict("shrank");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_static_program_on_musl_unmaps_each_block() {
    if installed("musl-gcc").is_none() {
        skip("no musl-gcc");
        return;
    }
    let folder = Folder::new();
    let program = folder.join("seed");
    build("musl-gcc", &["-static"], &program);
    let account = observe_program(&program, &[]);
    account.expect_verdict("shrank");
    let returned = account.finding("large-chunks-unmapped").expect("by musl");
    assert_eq!(returned["owner"], "musl", "{account}");
    let bytes = returned["bytes"].as_u64().expect("a size");
    // A word left on the stack can pass for a caller: a block may be charged to somebody else.
    assert!(bytes >= BLOCKS / 4 * 3, "{bytes} {account}");
}

/// strace sees the same program make the same calls, from exec to the end.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn calls_are_as_many_as_strace_counts() {
    let folder = Folder::new();
    let program = compile(&folder);
    let mut tracer = Tracer::launch(&[&program], &[]);
    tracer.close_stdin();
    let account = tracer.finish().account();
    account.check_trust();

    let log = folder.join("strace");
    let mut strace = command("strace");
    strace
        .args(["-f", "-e", "trace=memory", "-o"])
        .arg(&log)
        .arg(&program);
    strace.stdin(Stdio::null()).stdout(Stdio::null());
    assert!(strace.status().expect("strace is installed").success());
    let log = fs::read_to_string(log).expect("strace wrote it");
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for line in log.lines() {
        // `123 mmap(NULL, …`
        let call = line
            .split_whitespace()
            .nth(1)
            .and_then(|word| word.split_once('('));
        if let Some((name, _)) = call {
            *expected.entry(name).or_default() += 1;
        }
    }
    assert!(
        ["mmap", "munmap", "brk"]
            .iter()
            .all(|call| expected.contains_key(call)),
        "{log}"
    );
    let found = expected
        .keys()
        .map(|call| (*call, account.calls(call)))
        .collect();
    assert_eq!(expected, found, "strace's counts, the tracer's {account}");
}

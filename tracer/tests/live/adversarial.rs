//! Programs made to deceive: what one does looks like what another does. The verdict must be right
//! or say that it cannot be told; the table is that of `docs/verdicts.md`.
//!
//! One tracer watches all of them.

use std::{path::PathBuf, process::Command};

use crate::harness::{
    Account, Folder, Target, Tracer, command, fact, installed, preloadable, skip, workspace,
};

/// One deception.
struct Deception {
    mode: &'static str,
    preload: &'static str,
    verdict: &'static str,
    /// What must be found.
    finds: &'static [&'static str],
    /// What must not be claimed.
    lacks: &'static [&'static str],
}

const GLIBC: &str = "";
const JEMALLOC: &str = "libjemalloc.so.2";

const RETENTION: &[&str] = &["retained-after-purge", "purged-not-unmapped"];

#[rustfmt::skip]
const DECEPTIONS: [Deception; 13] = [
    Deception { mode: "leak", preload: GLIBC, verdict: "not-released",
        finds: &["leak-suspected"], lacks: RETENTION },
    Deception { mode: "leak-like-retention", preload: JEMALLOC, verdict: "not-released",
        finds: &["not-released"], lacks: RETENTION },
    Deception { mode: "retention-like-leak", preload: GLIBC, verdict: "heap-top-pinned",
        finds: &["heap-top-pinned"], lacks: &["leak-suspected"] },
    Deception { mode: "cache-that-fills", preload: GLIBC, verdict: "not-released",
        finds: &["grew-by-application-mmap"], lacks: &["leak-suspected"] },
    Deception { mode: "own-pool", preload: GLIBC, verdict: "not-released",
        finds: &["grew-by-application-mmap"], lacks: RETENTION },
    Deception { mode: "own-purge", preload: GLIBC, verdict: "purged-not-unmapped",
        finds: &["purged-not-unmapped"], lacks: &["retained-after-purge"] },
    Deception { mode: "own-arena", preload: GLIBC, verdict: "not-released",
        finds: &["reserved-address-space"], lacks: &["arena-reserve"] },
    Deception { mode: "purge-and-reuse", preload: GLIBC, verdict: "not-released",
        finds: &["grew-by-application-mmap"], lacks: RETENTION },
    Deception { mode: "free-and-reuse", preload: JEMALLOC, verdict: "not-released",
        finds: &["not-released"], lacks: RETENTION },
    Deception { mode: "offer-and-reuse", preload: GLIBC, verdict: "not-released",
        finds: &["grew-by-application-mmap"], lacks: &["lazily-freed"] },
    Deception { mode: "huge-regrowth", preload: GLIBC, verdict: "not-released",
        finds: &[], lacks: RETENTION },
    Deception { mode: "thrash", preload: GLIBC, verdict: "no-growth or shrank",
        finds: &["map-unmap-thrash"], lacks: RETENTION },
    Deception { mode: "ratchet", preload: GLIBC, verdict: "not-released",
        finds: &["mmap-threshold-raised"], lacks: RETENTION },
];

/// Compiles one of the programs in C; `None` where there is no compiler.
pub fn compile(folder: &Folder, name: &str) -> Option<PathBuf> {
    let compiler = installed("gcc")?;
    let program = folder.join(name);
    let source = workspace().join(format!("workload/c/{name}.c"));
    let mut compiler = Command::new(compiler);
    compiler.arg("-O2").arg("-o").arg(&program).arg(source);
    let compiled = compiler.status().expect("gcc is installed");
    assert!(compiled.success(), "{compiler:?}");
    Some(program)
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn no_program_made_to_deceive_does() {
    let folder = Folder::new();
    let Some(program) = compile(&folder, "adversary") else {
        skip("no gcc");
        return;
    };
    let tried: Vec<&Deception> = DECEPTIONS
        .iter()
        .filter(|deception| preloadable(deception.preload))
        .collect();
    let mut targets: Vec<Target> = tried
        .iter()
        .map(|deception| {
            let mut command = command(&program);
            if !deception.preload.is_empty() {
                command.env("LD_PRELOAD", deception.preload);
            }
            let target = Target::start(command.arg(deception.mode));
            target.lines.find_text("start");
            target
        })
        .collect();
    let pids: Vec<u32> = targets.iter().map(Target::pid).collect();
    let tracer = Tracer::attach(&pids);
    targets.iter_mut().for_each(Target::go);
    for target in &targets {
        target.lines.find_text("end");
    }
    let ended = tracer.interrupt();
    for (deception, target) in tried.iter().zip(&targets) {
        let account = ended.account_of(target.pid());
        check(deception, &account);
    }
}

fn check(deception: &Deception, account: &Account) {
    let Deception { mode, .. } = deception;
    account.check_trust();
    fact(
        &format!("deception {mode}"),
        format!(
            "{}: {}",
            account.verdict(),
            account.text("/verdict/summary")
        ),
    );
    let expected = deception.verdict.split(" or ");
    assert!(
        expected.into_iter().any(|one| one == account.verdict()),
        "{mode}: {account}"
    );
    for reason in deception.finds {
        assert!(account.finds(reason), "{mode}: no {reason} {account}");
    }
    for reason in deception.lacks {
        assert!(!account.finds(reason), "{mode}: {reason} {account}");
    }
    if *mode == "huge-regrowth" {
        check_huge(account);
    }
}

/// Where the kernel makes huge pages and tells of them, those that came back are found.
fn check_huge(account: &Account) {
    let enabled = "/sys/kernel/mm/transparent_hugepage/enabled";
    let mode = std::fs::read_to_string(enabled).unwrap_or_default();
    let scanned = account.method().as_deref() == Some("pagemap-scan");
    if mode.is_empty() || mode.contains("[never]") || !scanned {
        fact(
            "huge pages",
            format!("not told apart here: {}", mode.trim()),
        );
        return;
    }
    // The kernel may have had no huge page to give.
    fact("huge pages", account.finds("huge-pages-regrown"));
}

//! Call sites as stripped and unstripped binaries show them.

use super::{Caller, Judge, names};
use crate::{
    attribute::{
        evidence::{CallSite, FoundBy, Frame, Module, StackEnd},
        testing::*,
    },
    space::piece::FileId,
};

fn judge<'a>(modules: &'a [Module], has_libc: bool) -> Judge<'a> {
    Judge { modules, has_libc }
}

fn module(path: &str, symbols: &[&str]) -> Module {
    Module {
        file: FileId(0),
        path: path.to_owned(),
        is_program: path == PROGRAM,
        unreadable: None,
        telling_symbols: symbols.iter().map(|symbol| (*symbol).to_owned()).collect(),
        telling_strings: Vec::new(),
    }
}

/// The answer for these frames on top of a stack, in a word.
fn answer(judge: &Judge<'_>, frames: &[At]) -> String {
    answer_for(judge, frames, None)
}

/// The same for a stack that was unwound.
fn answer_unwound(judge: &Judge<'_>, frames: &[At]) -> String {
    answer_for(judge, frames, Some(StackEnd::Root))
}

fn answer_for(judge: &Judge<'_>, frames: &[At], end: Option<StackEnd>) -> String {
    let frames = frames.iter().map(|(path, function)| Frame {
        file: FileId(99),
        offset: 0x10,
        module: (*path).to_owned(),
        function: (!function.is_empty()).then(|| (*function).to_owned()),
        line: None,
        inlined: false,
        by: FoundBy::Tables,
    });
    let site = CallSite {
        frames: frames.collect::<Vec<_>>().into(),
        end,
    };
    match judge.caller(&site) {
        Caller::Unknown => "unknown".to_owned(),
        Caller::Undecided(frame) => format!("undecided {frame}"),
        Caller::Allocator(allocator, frame) => format!("{} {frame}", allocator.name),
        Caller::Loader(frame) => format!("loader {frame}"),
        Caller::Threads(frame) => format!("threads {frame}"),
        Caller::Code(frame) => format!("code {frame}"),
    }
}

#[test]
fn the_first_frame_that_is_no_wrapper_decides() {
    let modules = [module(PROGRAM, &[]), module(LIBC, &["malloc"])];
    let judge = judge(&modules, true);
    assert_eq!(answer(&judge, GLIBC_MALLOC), "glibc 1");
    assert_eq!(answer(&judge, GLIBC_BRK), "glibc 2");
    assert_eq!(answer(&judge, OWN), "code 1");
    assert_eq!(answer(&judge, GLIBC_THREAD), "threads 1");
    assert_eq!(answer(&judge, JEMALLOC), "jemalloc 1");
    assert_eq!(answer(&judge, TCMALLOC), "tcmalloc 2");
    assert_eq!(answer(&judge, MUSL_MALLOC), "musl 1");
    assert_eq!(answer(&judge, &[]), "unknown");
    assert_eq!(answer(&judge, &[(LIBC, "mmap64")]), "unknown");
    assert_eq!(answer(&judge, &[(LOADER, "")]), "loader 0");
}

#[test]
fn a_linked_in_allocator_is_known_by_its_functions() {
    let modules = [module(PROGRAM, &["mi_malloc"]), module("/lib/own.so", &[])];
    let judge = judge(&modules, true);
    for (function, owner) in [
        ("_rjem_je_pages_map", "jemalloc 0"),
        ("os_pages_map.constprop.0", "jemalloc 0"),
        ("_ZN8tcmalloc12SystemAlloc_EmPmm", "tcmalloc 0"),
        (
            "_ZN8tcmalloc17tcmalloc_internal10MmapRegionEm",
            "google-tcmalloc 0",
        ),
        ("rpmallocInitialize", "rpmalloc 0"),
        ("mi_os_alloc", "mimalloc 0"),
        ("je_parse", "code 0"),
        ("malloc", "mimalloc 0"),
    ] {
        assert_eq!(answer(&judge, &[(PROGRAM, function)]), owner, "{function}");
    }
    // Elsewhere the same names are anybody's.
    assert_eq!(answer(&judge, &[("/lib/own.so", "mi_open")]), "code 0");
    assert_eq!(
        answer(&judge, &[("/lib/own.so", "allocate_stack")]),
        "code 0"
    );
}

#[test]
fn a_static_program_is_decided_by_functions_only() {
    let modules = [module(PROGRAM, &["malloc", "_int_malloc"])];
    let judge = judge(&modules, false);
    assert_eq!(
        answer(&judge, &[(PROGRAM, "__mmap"), (PROGRAM, "sysmalloc")]),
        "glibc 1"
    );
    assert_eq!(answer(&judge, &[(PROGRAM, "__libc_malloc")]), "glibc 0");
    assert_eq!(answer(&judge, &[(PROGRAM, "__libc_setup_tls")]), "loader 0");
    assert_eq!(answer(&judge, &[(PROGRAM, "")]), "undecided 0");
    assert_eq!(answer(&judge, &[(PROGRAM, "grow")]), "code 0");
}

#[test]
fn names_lose_what_optimisers_append() {
    assert_eq!(names::plain("sysmalloc.part.0"), "sysmalloc");
    assert_eq!(names::plain("mmap64@@GLIBC_2.2.5"), "mmap64");
    assert_eq!(names::plain("runtime.sysMmap"), "runtime.sysMmap");
    assert_eq!(names::plain("__GI___libc_free"), "__libc_free");
    assert!(names::is_wrapper(names::plain("__GI___mmap")));
    assert!(names::is_wrapper("__mmap"));
    assert!(names::is_wrapper("__interceptor_mmap"));
    assert!(!names::is_wrapper("mmap_region"));
}

#[test]
fn an_unwound_stack_is_looked_through() {
    let modules = [
        module(PROGRAM, &["PyObject_Malloc"]),
        module(LIBC, &["malloc"]),
    ];
    let judge = judge(&modules, true);
    // Stripped: the function that makes stacks has no symbol of its own.
    let thread = [
        (LIBC, "mmap64"),
        (LIBC, ""),
        (LIBC, "pthread_create"),
        (PROGRAM, "main"),
    ];
    assert_eq!(answer_unwound(&judge, &thread), "threads 2");
    let large = [
        (LIBC, "mmap64"),
        (LIBC, ""),
        (LIBC, "malloc"),
        (PROGRAM, "main"),
    ];
    assert_eq!(answer_unwound(&judge, &large), "glibc 1");
    let arena = [
        (LIBC, "mmap64"),
        (PROGRAM, ""),
        (PROGRAM, "PyObject_Malloc"),
    ];
    assert_eq!(answer_unwound(&judge, &arena), "pymalloc 1");
    let own = [(LIBC, "mmap64"), (PROGRAM, "map_pool"), (PROGRAM, "main")];
    assert_eq!(answer_unwound(&judge, &own), "code 1");
}

#[test]
fn what_ends_a_thread_handles_its_stack() {
    let judge = judge(&[], true);
    let purged: &[At] = &[
        (LIBC, "__GI_madvise"),
        (LIBC, "advise_stack_range"),
        (LIBC, "start_thread"),
    ];
    assert_eq!(answer_unwound(&judge, purged), "threads 1");
    let joined: &[At] = &[(LIBC, "munmap"), (LIBC, ""), (LIBC, "pthread_join")];
    assert_eq!(answer_unwound(&judge, joined), "threads 2");
}

//! Names of functions and files that say what code is for.

/// Functions that do nothing but a system call: their caller decides.
const WRAPPERS: &[&str] = &[
    "mmap",
    "mmap64",
    "munmap",
    "mremap",
    "brk",
    "sbrk",
    "madvise",
    "mprotect",
    "pkey_mprotect",
    "process_madvise",
    "shmat",
    "shmdt",
    "syscall",
    "syscall_cp",
    "map_shadow_stack",
    "io_setup",
    "prctl",
];

/// The same in Go's runtime and packages.
const GO_WRAPPERS: &[&str] = &[
    "syscall.Syscall",
    "syscall.Syscall6",
    "syscall.RawSyscall6",
    "syscall.mmap",
    "syscall.Mmap",
    "internal/runtime/syscall.Syscall6",
    "runtime/internal/syscall.Syscall6",
    "internal/runtime/syscall/linux.Syscall6",
];

/// What optimisers append to a function's name.
const SUFFIXES: &[&str] = &[
    ".part.",
    ".isra.",
    ".constprop.",
    ".cold",
    ".lto_priv",
    ".llvm.",
    "@",
];

/// What glibc puts before the names by which it calls its own functions.
const INTERNAL: &str = "__GI_";

/// A function's name without what optimisers, symbol versions and glibc add.
pub fn plain(function: &str) -> &str {
    let function = function.strip_prefix(INTERNAL).unwrap_or(function);
    let end = SUFFIXES
        .iter()
        .filter_map(|suffix| function.find(suffix))
        .min()
        .unwrap_or(function.len());
    &function[..end]
}

/// Whether a function merely makes a system call.
pub fn is_wrapper(function: &str) -> bool {
    let bare = function
        .strip_prefix("___interceptor_")
        .or_else(|| function.strip_prefix("__interceptor_"))
        .or_else(|| function.strip_prefix("__libc_"))
        .or_else(|| function.strip_prefix("__wrap_"))
        .or_else(|| function.strip_prefix("__"))
        .unwrap_or(function);
    WRAPPERS.contains(&bare) || GO_WRAPPERS.contains(&function)
}

/// Whether a function makes threads or their stacks, or ends them.
pub fn makes_threads(function: &str) -> bool {
    [
        "pthread_create",
        "__pthread_create",
        "__pthread_create_2_1",
        "allocate_stack",
        "advise_stack_range",
        "queue_stack",
        "__nptl_free_stacks",
        "__nptl_deallocate_stack",
        "start_thread",
        "pthread_join",
        "__pthread_join",
        "pthread_timedjoin_np",
        "pthread_clockjoin_np",
        "posix_spawn",
        "__spawnix",
        "__spawni",
        "__posix_spawnx",
    ]
    .contains(&function)
}

/// Whether a function of a C library is of the loader or of start-up code.
pub fn starts_up(function: &str, musl: bool) -> bool {
    const ANY: &[&str] = &["__libc_setup_tls", "__libc_early_init"];
    const MUSL: &[&str] = &[
        "__init_tls",
        "static_init_tls",
        "map_library",
        "load_library",
        "dlopen",
    ];
    function.starts_with("_dl_")
        || function.starts_with("__dls")
        || ANY.contains(&function)
        || musl && MUSL.contains(&function)
}

/// Whether a function is one by which programs ask for memory.
pub fn is_malloc_family(function: &str) -> bool {
    [
        "malloc",
        "calloc",
        "realloc",
        "free",
        "reallocarray",
        "memalign",
        "aligned_alloc",
        "posix_memalign",
        "valloc",
        "pvalloc",
        "__libc_malloc",
        "__libc_calloc",
        "__libc_realloc",
        "__libc_memalign",
        "__libc_free",
        "cfree",
        "malloc_trim",
        "_Znwm",
        "_Znam",
    ]
    .contains(&function)
}

/// Whether a function only passes requests for memory on: of C++'s and Rust's libraries.
pub fn passes_on(function: &str) -> bool {
    const BEGINNINGS: &[&str] = &[
        "_Zn",
        "_Zd",
        "operator new",
        "operator delete",
        "__rust_alloc",
        "__rust_dealloc",
        "__rust_realloc",
        "__rustc",
        "__rdl_",
        "__rg_",
        "_ZN5alloc5alloc",
        "_ZN63_$LT$alloc..alloc..Global",
        "_ZN5alloc7raw_vec",
        "_ZNSt",
        "_ZN9__gnu_cxx",
    ];
    BEGINNINGS
        .iter()
        .any(|beginning| function.starts_with(beginning))
}

/// Whether a file is the dynamic loader (musl's is its C library too).
pub fn is_loader(name: &str) -> bool {
    name.starts_with("ld-linux")
        || name.starts_with("ld-musl-")
        || name.starts_with("ld-2.")
        || name == "ld.so.1"
        || name == "ld64.so.1"
        || name == "ld64.so.2"
}

/// Whether a path is musl's C library.
pub fn is_musl(path: &str) -> bool {
    let name = crate::attribute::module_name(path);
    let android = path.starts_with("/apex/") || path.starts_with("/system/");
    name.starts_with("ld-musl-") || name.starts_with("libc.musl-") || name == "libc.so" && !android
}

/// Whether a file is the C library's threads (apart from it before glibc 2.34).
pub fn is_thread_library(name: &str) -> bool {
    name.starts_with("libpthread.so") || name.starts_with("libpthread-2.")
}

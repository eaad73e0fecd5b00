//! The workload where "system" is Google's tcmalloc, which takes malloc's place in the whole program.

mod malloc;

use std::process::ExitCode;

use workload::Malloc;

static TCMALLOC: Malloc = Malloc {
    name: "google-tcmalloc",
    figures,
};

fn main() -> ExitCode {
    workload::run_on(&TCMALLOC)
}

fn figures(tell: &mut dyn FnMut(&'static str, usize)) {
    for (name, property) in [
        ("allocated", "generic.current_allocated_bytes"),
        ("heap", "generic.heap_size"),
        ("free", "tcmalloc.pageheap_free_bytes"),
        ("unmapped", "tcmalloc.pageheap_unmapped_bytes"),
    ] {
        if let Some(figure) = malloc::property(property) {
            tell(name, figure);
        }
    }
}

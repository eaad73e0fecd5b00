//! CPython's allocator for objects up to 512 bytes.

use super::{Allocator, PLAIN, Topic};
use crate::attribute::evidence::Evidence;

pub(super) static PYMALLOC: Allocator = Allocator {
    name: "pymalloc",
    title: "CPython's object allocator",
    functions: &[
        "_PyObject_Arena*",
        "_PyMem_Arena*",
        "_PyObject_Malloc",
        "PyObject_Malloc",
        "PyObject_Calloc",
        "PyObject_Realloc",
    ],
    symbols: &["_PyObject_ArenaMmap", "PyObject_Malloc"],
    grows: "it maps arenas of 1 MiB (256 KiB before version 3.10)",
    keeps: "an arena of 1 MiB stays mapped while one object in it is alive",
    unmaps: "CPython unmaps an arena of 1 MiB when no object in it is alive",
    variables: &["PYTHONMALLOC"],
    experiment: "tracemalloc, which shows what objects are alive",
    advice,
    ..PLAIN
};

fn advice(_: &Evidence<'_>, topic: Topic) -> String {
    match topic {
        Topic::NotReleased => "Few objects alive in each arena keep it mapped: make long-lived \
                               objects before short-lived ones, or do the work in a process \
                               that ends. PYTHONMALLOC=malloc measured worse."
            .to_owned(),
        _ => super::general_advice(topic).to_owned(),
    }
}

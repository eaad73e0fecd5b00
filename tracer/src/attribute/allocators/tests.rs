//! The table as a whole.

use std::collections::BTreeSet;

use super::*;
use crate::{
    attribute::testing::World,
    units::{Addr, Bytes, Span},
};

#[test]
fn names_are_unique_and_texts_complete() {
    let names: BTreeSet<&str> = TABLE.iter().map(|allocator| allocator.name).collect();
    assert_eq!(names.len(), TABLE.len());
    let world = World::dynamic(&[]);
    let sites = world.sites();
    let evidence = Evidence {
        space: &world.space,
        sites: &sites,
        modules: &world.modules,
        settings: &world.settings,
        residency: None,
        pages: None,
        heap: None,
        held: None,
        vm_size: Default::default(),
        rss: Default::default(),
        rss_anon_at_end: None,
        doubt: Default::default(),
        observed: Default::default(),
    };
    for allocator in TABLE {
        assert_eq!(
            by_name(allocator.name).map(|a| a.name),
            Some(allocator.name)
        );
        assert!(!allocator.title.is_empty());
        for clause in [
            allocator.grows,
            allocator.keeps,
            allocator.unmaps,
            allocator.fewer_mappings,
            allocator.experiment,
        ] {
            assert!(!clause.ends_with('.'), "{}: a clause", allocator.name);
        }
        for topic in [
            Topic::Retained,
            Topic::OverMapped,
            Topic::NotReleased,
            Topic::Reserved,
            Topic::LazilyFreed,
        ] {
            let advice = (allocator.advice)(&evidence, topic);
            assert!(advice.ends_with('.'), "{}: {advice}", allocator.name);
            assert!(!advice.contains("  "), "{}: {advice}", allocator.name);
        }
    }
}

#[test]
fn what_is_to_be_gathered_can_be_asked_for() {
    assert!(is_telling_symbol("malloc"));
    assert!(is_telling_symbol("je_arrow_mallctl"));
    assert!(!is_telling_symbol("main"));
    assert!(is_obeyed_variable("_RJEM_MALLOC_CONF"));
    assert!(is_obeyed_variable("MALLOC_ARENA_MAX"));
    assert!(!is_obeyed_variable("PATH"));
    assert!(telling_strings().any(|text| text == "<jemalloc>: "));
}

#[test]
fn libraries_are_known_by_their_file_names() {
    for (name, owner) in [
        ("libjemalloc.so.2", Some("jemalloc")),
        ("libtcmalloc_minimal.so.4", Some("tcmalloc")),
        ("libmimalloc-secure.so.2.0", Some("mimalloc")),
        ("libtbbmalloc_proxy.so.2", Some("tbbmalloc")),
        ("libjvm.so", Some("jvm")),
        ("libc.so.6", Some("glibc")),
        ("libcrypto.so.3", None),
    ] {
        assert_eq!(by_library(name).map(|a| a.name), owner, "{name}");
    }
}

#[test]
fn the_heap_fits_those_that_use_brk() {
    let heap = Shape {
        heap: true,
        writable: true,
        span: Span::new(Addr(0x6000_0000), 1 << 30),
        no_reserve: true,
        mapped: Some(Bytes(1 << 30)),
        ..Shape::default()
    };
    let fitting: Vec<&str> = TABLE
        .iter()
        .filter(|allocator| (allocator.fits)(&heap))
        .map(|allocator| allocator.name)
        .collect();
    assert_eq!(fitting, ["glibc", "tcmalloc"]);
}

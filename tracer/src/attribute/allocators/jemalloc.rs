//! jemalloc, in its own library or linked in under a prefix (Rust's `tikv-jemallocator`,
//! pyarrow, …).

use super::{Allocator, Decay, Shape, Topic, settings};
use crate::{
    attribute::{evidence::Evidence, explanation::InForce, text},
    units::Bytes,
};

/// The smallest mapping it makes for memory to hand out.
const SMALLEST_MAPPING: u64 = 2 << 20;

pub(super) static JEMALLOC: Allocator = Allocator {
    name: "jemalloc",
    title: "jemalloc",
    libraries: &["libjemalloc*"],
    functions: &[
        "_rjem_*",
        "jemalloc*",
        "os_pages_map",
        "extent_alloc_mmap",
        "extent_grow_retained",
        "ehooks_default_alloc_impl",
        "je_arrow_*",
    ],
    common_functions: &[
        "je_*",
        "pages_map",
        "pages_commit*",
        "pages_boot",
        "base_map",
        "base_block_alloc",
        "extent_alloc_core",
        "extent_alloc_dss",
        "extent_alloc_wrapper",
        "ecache_alloc_grow",
    ],
    symbols: &["*mallctl", "_rjem_malloc", "je_malloc", "*mallctlnametomib"],
    strings: &["<jemalloc>: ", "_RJEM_MALLOC_CONF", "JE_ARROW_MALLOC_CONF"],
    vma_names: &["jemalloc_pg*"],
    fits,
    maps_ahead: true,
    grows: "it maps by a series of sizes that grow by about a fifth each time, so that it maps \
            seldom, and rounds each block up to a size class",
    keeps: "unmapping would leave holes all over the address space, which are slow to \
            manage, so the addresses are kept for later, while their pages cost no memory \
            (its option `retain`, on by default on 64-bit Linux)",
    keeping_option: "opt.retain",
    unmaps: "with retain:false it unmaps what it no longer needs",
    fewer_mappings: "Leave retain:true (retain:false splits mappings)",
    variables: &["*MALLOC_CONF"],
    experiment: "mallctl(\"thread.tcache.flush\") and mallctl(\"arena.4096.purge\") in the \
                 process, or its figures stats.allocated and stats.retained",
    advice,
    options,
    decay,
};

fn fits(shape: &Shape) -> bool {
    shape.is_unreserved()
        && !shape.is_hinted()
        && match shape.mapped {
            Some(mapped) => is_size_class(mapped),
            None => shape.span.len().0 >= SMALLEST_MAPPING,
        }
}

/// Whether a size is one that jemalloc maps: 2^n × (4, 5, 6, 7) / 4 from 2 MiB.
fn is_size_class(size: Bytes) -> bool {
    let size = size.0;
    size >= SMALLEST_MAPPING && {
        let quarter = 1_u64 << (size.ilog2() - 2);
        size.is_multiple_of(quarter)
    }
}

/// The environment variables that the builds in this process read.
fn variables(evidence: &Evidence<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for module in evidence.modules {
        let by_string = module.telling_strings.iter().filter_map(|text| {
            let start = text.find(|c: char| c == '_' || c.is_ascii_uppercase())?;
            let word = &text[start..];
            word.ends_with("_MALLOC_CONF").then(|| word.to_owned())
        });
        let by_symbol = module.telling_symbols.iter().filter_map(|symbol| {
            let prefix = symbol
                .strip_suffix("mallctl")
                .or_else(|| (symbol == "_rjem_malloc").then_some("_rjem_"))?;
            Some(format!("{}MALLOC_CONF", prefix.to_uppercase()))
        });
        names.extend(by_string.chain(by_symbol));
    }
    let mut functions = evidence.sites.iter().flat_map(|site| &*site.frames);
    let is_prefixed =
        |name: &Option<String>| name.as_ref().is_some_and(|name| name.starts_with("_rjem_"));
    if functions.any(|frame| is_prefixed(&frame.function)) {
        names.push("_RJEM_MALLOC_CONF".to_owned());
    }
    names.sort();
    names.dedup();
    if names.is_empty() {
        names.push("MALLOC_CONF".to_owned());
    }
    names
}

/// An option's value as jemalloc sees it: the environment wins over `/etc/malloc.conf`.
fn option<'e>(evidence: &'e Evidence<'_>, name: &str) -> Option<&'e str> {
    sourced(evidence, name).map(|(value, _)| value)
}

/// The same, with where it is set.
fn sourced<'e>(evidence: &'e Evidence<'_>, name: &str) -> Option<(&'e str, String)> {
    let variables = variables(evidence);
    let set = variables.iter().find_map(|variable| {
        let list = settings::variable(evidence.settings, variable)?;
        let value = settings::option(list, name)?;
        Some((value, format!("environment: {variable}")))
    });
    set.or_else(|| {
        let unprefixed = variables.iter().any(|variable| variable == "MALLOC_CONF");
        let list = evidence.settings.etc_malloc_conf.as_deref()?;
        let value = settings::option(list, name).filter(|_| unprefixed)?;
        Some((value, "/etc/malloc.conf".to_owned()))
    })
}

/// Options that bear on address space and memory, with jemalloc 5's defaults on 64-bit Linux
/// (its `doc/jemalloc.xml`) and what they do.
const OPTIONS: [(&str, &str, &str); 11] = [
    (
        "retain",
        "true",
        "true: keeps address space whose pages it gave back; false: unmaps it",
    ),
    (
        "dirty_decay_ms",
        "10000",
        "how long after it was freed memory is given back; 0: at once; -1: never",
    ),
    (
        "muzzy_decay_ms",
        "0",
        "how long memory given back lazily (MADV_FREE) stays so; 0: MADV_DONTNEED is used at once",
    ),
    (
        "background_thread",
        "false",
        "true: decay goes on while the program idles; false: only when it calls jemalloc",
    ),
    (
        "oversize_threshold",
        "8388608",
        "blocks from this size on come from an arena of their own, whose memory is given back at \
         once",
    ),
    (
        "hpa",
        "false",
        "true: memory is managed by huge pages, and given back only by whole ones",
    ),
    (
        "thp",
        "default",
        "always: asks for transparent huge pages; never: forbids them; default: as the system",
    ),
    (
        "metadata_thp",
        "disabled",
        "whether its own records may use transparent huge pages",
    ),
    (
        "narenas",
        "4 for each processor",
        "arenas, each of which keeps free memory of its own",
    ),
    (
        "tcache_max",
        "32768",
        "the largest block that a thread's cache keeps",
    ),
    ("dss", "secondary", "whether it takes memory by brk too"),
];

fn options(evidence: &Evidence<'_>) -> Vec<InForce> {
    let row = |(name, default, effect): (&str, &str, &str)| {
        let set = sourced(evidence, name);
        let (value, source) = set.unwrap_or((default, settings::by_default("jemalloc 5")));
        InForce {
            name: format!("opt.{name}"),
            value: value.to_owned(),
            source,
            effect: effect.to_owned(),
        }
    };
    OPTIONS.into_iter().map(row).collect()
}

fn decay(evidence: &Evidence<'_>) -> Option<Decay> {
    let delay = option(evidence, "dirty_decay_ms").unwrap_or("10000");
    if delay == "-1" {
        return Some(Decay::Never("dirty_decay_ms:-1".to_owned()));
    }
    let oversize = option(evidence, "oversize_threshold").unwrap_or("8388608");
    let rule = format!(
        "freed memory goes back over {delay} ms (dirty_decay_ms), that of blocks of {oversize} bytes \
         and more at once (oversize_threshold)"
    );
    Some(match option(evidence, "background_thread") {
        Some("true") => Decay::ByThread(format!("{rule}, by a thread of jemalloc's")),
        _ => Decay::ByCalls(format!(
            "{rule}, but only when the program calls jemalloc (background_thread is off)"
        )),
    })
}

fn advice(evidence: &Evidence<'_>, topic: Topic) -> String {
    match topic {
        Topic::Retained | Topic::OverMapped | Topic::Reserved => retain_advice(evidence),
        Topic::NotReleased => decay_advice(evidence),
        Topic::LazilyFreed => "muzzy_decay_ms:0 (the default) gives these pages back at once \
                               with MADV_DONTNEED; price: pages used again fault anew. Until \
                               then subtract LazyFree from RSS before judging it."
            .to_owned(),
    }
}

fn retain_advice(evidence: &Evidence<'_>) -> String {
    if option(evidence, "retain") == Some("false") {
        return "retain:false is set already: jemalloc unmaps what it no longer needs, once it \
                has decayed. What is left is awaiting that or shares a mapping with memory in \
                use."
            .to_owned();
    }
    let variables = variables(evidence);
    let exact: Vec<String> = variables
        .iter()
        .map(|name| format!("{name}=retain:false"))
        .collect();
    let mut advice = format!(
        "Usually nothing: it costs no memory. If VmSize itself is limited or watched, set {} \
         before the program starts: jemalloc then unmaps, and maps no more than it needs. \
         Price: many more calls (a measured example: 130,531 mmaps instead of 29) and \
         mappings.{} Decay, background threads and huge-page settings do not change VmSize.",
        exact.join(" or "),
        settings::mappings_remark(evidence)
    );
    let unread = settings::variable(evidence.settings, "MALLOC_CONF").is_some()
        && !variables.iter().any(|name| name == "MALLOC_CONF");
    if unread {
        advice.push_str(&format!(
            " MALLOC_CONF is set, but this build reads {}.",
            text::join(&variables)
        ));
    }
    advice.push_str(&settings::limit_remark(evidence.settings));
    advice
}

fn decay_advice(evidence: &Evidence<'_>) -> String {
    let variables = text::join(&variables(evidence));
    let mut advice = match option(evidence, "dirty_decay_ms") {
        Some("-1") => {
            "dirty_decay_ms:-1 is set: jemalloc never gives pages back. Remove it.".to_owned()
        }
        _ => format!(
            "If RSS matters: {variables}=background_thread:true gives freed pages back while \
             the program idles (default: only when it allocates or frees, 10 s later); price: \
             a thread. dirty_decay_ms:0 gives them back at once; price: a call and page faults \
             for nearly every free."
        ),
    };
    if option(evidence, "hpa") == Some("true") {
        advice.push_str(
            " hpa:true is set: memory goes back only by whole huge pages, so a live block in each \
             keeps all of it.",
        );
    }
    advice.push_str(" To know what is free: ");
    advice.push_str(JEMALLOC.experiment);
    advice.push('.');
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_series_are_size_classes() {
        for mib in [2, 5, 7, 160, 192, 224, 256, 320, 384] {
            assert!(is_size_class(Bytes(mib << 20)), "{mib} MiB");
        }
        for bytes in [1 << 20, 33 << 20, 129 << 20, (128 << 20) + 4096] {
            assert!(!is_size_class(Bytes(bytes)), "{bytes}");
        }
    }
}

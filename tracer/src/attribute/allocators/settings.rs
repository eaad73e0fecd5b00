//! Settings in force, read as the allocators read them.
//!
//! What a program sets by calling its allocator is not seen.

use super::{Allocator, pattern};
use crate::{
    attribute::{
        evidence::{Evidence, Settings},
        explanation::InForce,
        text,
    },
    units::Bytes,
};

/// The value of an environment variable.
pub fn variable<'s>(settings: &'s Settings, name: &str) -> Option<&'s str> {
    let mut set = settings.environment.iter();
    set.find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// The value of an option in a list such as `retain:false,dirty_decay_ms:0`; the last wins.
pub fn option<'s>(list: &'s str, name: &str) -> Option<&'s str> {
    list.split(',')
        .filter_map(|entry| entry.split_once(':'))
        .filter(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
        .next_back()
}

/// One of glibc's tunables.
pub fn tunable<'s>(settings: &'s Settings, name: &str) -> Option<&'s str> {
    variable(settings, "GLIBC_TUNABLES")?
        .split(':')
        .filter_map(|entry| entry.split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .next_back()
}

/// A size as `strtoul` reads it: decimal, or hexadecimal after `0x`.
pub fn size(text: &str) -> Option<Bytes> {
    let text = text.trim();
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.ok().map(Bytes)
}

/// The settings that an allocator obeys, as `NAME=value`.
pub fn in_force(allocator: &Allocator, settings: &Settings) -> Vec<String> {
    let mut lines: Vec<String> = settings
        .environment
        .iter()
        .filter(|(key, _)| pattern::any(allocator.variables, key))
        .map(|(key, value)| format!("{key}={value} is set (environment)"))
        .collect();
    if allocator.name == "jemalloc"
        && let Some(conf) = &settings.etc_malloc_conf
    {
        lines.push(format!("/etc/malloc.conf points to {conf}"));
    }
    lines
}

/// A setting taken from the environment: its names, newest first; its default; what it does.
pub type Known = (&'static [&'static str], &'static str, &'static str);

/// Settings of the environment, set or by default.
pub fn rows(settings: &Settings, whose: &str, known: &[Known]) -> Vec<InForce> {
    let row = |&(names, default, effect): &Known| {
        let set = names
            .iter()
            .find_map(|name| Some((*name, variable(settings, name)?)));
        let (name, value, source) = match set {
            Some((name, value)) => (name, value, format!("environment: {name}")),
            None => (names[0], default, by_default(whose)),
        };
        InForce {
            name: name.to_owned(),
            value: value.to_owned(),
            source,
            effect: effect.to_owned(),
        }
    };
    known.iter().map(row).collect()
}

/// The source of what nobody set.
pub fn by_default(whose: &str) -> String {
    format!("default of {whose}")
}

/// A remark on limits of address space; empty if there are none. `VmSize` counts in the first,
/// private writable memory in the others, whether it has pages or not.
pub fn limit_remark(settings: &Settings) -> String {
    let mut limits: Vec<String> = Vec::new();
    if let Some(limit) = settings.address_space_limit {
        limits.push(format!(
            "the process may have no more than {limit} of address space (RLIMIT_AS)"
        ));
    }
    if let Some(limit) = settings.data_limit {
        limits.push(format!(
            "it may have no more than {limit} of private writable memory (RLIMIT_DATA)"
        ));
    }
    if let (Some(2), Some(limit)) = (
        settings.kernel.overcommit_memory,
        settings.kernel.commit_limit,
    ) {
        limits.push(format!(
            "all processes together may have no more than {limit} of private writable memory \
             (vm.overcommit_memory is 2)"
        ));
    }
    if limits.is_empty() {
        return String::new();
    }
    format!(" Here it matters: {}.", text::join(&limits))
}

/// A remark on the number of mappings, for remedies that make more of them.
pub fn mappings_remark(evidence: &Evidence<'_>) -> String {
    let Some(most) = evidence.settings.kernel.max_map_count else {
        return String::new();
    };
    let now = evidence.space.to_vmas().len() as u64;
    format!(
        " The process has {} now and may have {} (vm.max_map_count).",
        text::count(now, "mapping"),
        text::grouped(most)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_option_wins() {
        let list = "retain:true,dirty_decay_ms:0,retain:false";
        assert_eq!(option(list, "retain"), Some("false"));
        assert_eq!(option(list, "thp"), None);
    }

    #[test]
    fn tunables_are_found_among_others() {
        let settings = Settings {
            environment: vec![(
                "GLIBC_TUNABLES".into(),
                "glibc.malloc.arena_max=2:glibc.malloc.trim_threshold=0x10000".into(),
            )],
            ..Settings::default()
        };
        let value = tunable(&settings, "glibc.malloc.trim_threshold");
        assert_eq!(value.and_then(size), Some(Bytes(65536)));
        assert_eq!(tunable(&settings, "glibc.malloc.top_pad"), None);
    }
}

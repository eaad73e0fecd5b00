//! Settings in force, read as the allocators read them.
//!
//! What a program sets by calling its allocator is not seen.

use super::{Allocator, pattern};
use crate::{attribute::evidence::Settings, units::Bytes};

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
        .map(|(key, value)| format!("{key}={value} is set"))
        .collect();
    if allocator.name == "jemalloc"
        && let Some(conf) = &settings.etc_malloc_conf
    {
        lines.push(format!("/etc/malloc.conf points to {conf}"));
    }
    lines
}

/// A remark on the process's own limit of address space; empty if it has none.
pub fn limit_remark(settings: &Settings) -> String {
    settings
        .address_space_limit
        .map_or_else(String::new, |limit| {
            format!(
                " Here it matters: the process may have no more than {limit} of address space \
                 (RLIMIT_AS)."
            )
        })
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

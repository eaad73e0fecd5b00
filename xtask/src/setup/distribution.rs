//! The name of this system, for messages: `/etc/os-release` in, words out.

use std::fs;

/// What this system calls itself.
pub fn name() -> String {
    let text = fs::read_to_string("/etc/os-release")
        .or_else(|_| fs::read_to_string("/usr/lib/os-release"))
        .unwrap_or_default();
    pretty_name(&text).unwrap_or_else(|| "this system".to_owned())
}

/// The `PRETTY_NAME` of an os-release file, or its `NAME`, without the quotes.
fn pretty_name(text: &str) -> Option<String> {
    ["PRETTY_NAME=", "NAME="].iter().find_map(|key| {
        let value = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(key))?;
        let value = value.trim_matches(['"', '\'']);
        (!value.is_empty()).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_is_read_quoted_or_bare() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian\"\nID=debian\n";
        assert_eq!(
            pretty_name(debian).as_deref(),
            Some("Debian GNU/Linux 12 (bookworm)")
        );
        assert_eq!(
            pretty_name("# x\nNAME=Fedora\nID=fedora").as_deref(),
            Some("Fedora")
        );
        assert_eq!(
            pretty_name("PRETTY_NAME=\"\"\nNAME='Void'").as_deref(),
            Some("Void")
        );
        assert_eq!(pretty_name("ID=alpine\n"), None);
    }
}

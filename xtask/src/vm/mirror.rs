//! Where Debian's packages come from here: what apt would fetch in, base addresses out. Pure.

/// Suites that have kernels, oldest first. One that a mirror does not have (any more) is no harm.
const SUITES: [&str; 9] = [
    "oldoldstable",
    "oldoldstable-backports",
    "oldstable",
    "oldstable-backports",
    "stable",
    "stable-backports",
    "testing",
    "unstable",
    "experimental",
];
const SECURITY_SUITES: [&str; 3] = [
    "oldoldstable-security",
    "oldstable-security",
    "stable-security",
];

/// Names of suites by which an archive of Debian is recognised. Others may use them too: whose it
/// is tells the signature, which apt checks.
const KNOWN: [&str; 12] = [
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "experimental",
];

/// Base addresses of archives.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    archives: Vec<String>,
    security: Vec<String>,
}

impl Mirrors {
    /// One archive that was named.
    pub fn named(address: &str) -> Self {
        Self {
            archives: vec![address.trim_end_matches('/').to_owned()],
            security: Vec::new(),
        }
    }

    /// Reads `apt-get update --print-uris`: lines of `'BASE/dists/SUITE/…' …`.
    pub fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let address = line.trim_start_matches('\'');
            let Some((base, rest)) = address.split_once("/dists/") else {
                continue;
            };
            let suite = rest.split('/').next().unwrap_or_default();
            let (name, part) = suite.split_once('-').unwrap_or((suite, ""));
            if !KNOWN.contains(&name) {
                continue;
            }
            let list = match part {
                "security" => &mut found.security,
                _ => &mut found.archives,
            };
            if !list.iter().any(|known| known == base) {
                list.push(base.to_owned());
            }
        }
        found
    }

    /// Whether there is nothing to fetch kernels from.
    pub const fn is_empty(&self) -> bool {
        self.archives.is_empty()
    }

    /// An apt sources file (deb822) with every suite that may have kernels.
    pub fn sources(&self, keyring: &str) -> String {
        let stanza = |base: &String, suites: &[&str]| {
            format!(
                "Types: deb\nURIs: {base}\nSuites: {}\nComponents: main\nSigned-By: {keyring}\n\n",
                suites.join(" ")
            )
        };
        let archives = self.archives.iter().map(|base| stanza(base, &SUITES));
        let security = self
            .security
            .iter()
            .map(|base| stanza(base, &SECURITY_SUITES));
        archives.chain(security).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URIS: &str = "\
'http://mirror.example/debian/dists/bookworm/InRelease' mirror.example_debian_dists_bookworm_InRelease 0 \n\
'http://mirror.example/debian/dists/bookworm-updates/InRelease' x 0 \n\
'http://mirror.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' x 0 \n\
'http://mirror.example/debian-security/dists/bookworm-security/InRelease' x 0 \n\
'https://other.example/node/dists/nodistro/InRelease' x 0 \n";

    #[test]
    fn only_archives_with_debians_suites_count() {
        let mirrors = Mirrors::parse(URIS);
        assert_eq!(mirrors.archives, ["http://mirror.example/debian"]);
        assert_eq!(mirrors.security, ["http://mirror.example/debian-security"]);
    }

    #[test]
    fn a_system_of_another_kind_has_none() {
        let uris = "'http://mirror.example/ubuntu/dists/noble/InRelease' x 0 \n";
        assert!(Mirrors::parse(uris).is_empty());
        assert!(Mirrors::parse("").is_empty());
    }

    #[test]
    fn every_suite_is_signed_by_the_keyring() {
        let sources = Mirrors::parse(URIS).sources("/keys.gpg");
        assert_eq!(sources.matches("Signed-By: /keys.gpg").count(), 2);
        assert!(sources.contains("experimental"));
        let sources = Mirrors::named("http://one.example/debian/").sources("/keys.gpg");
        assert!(sources.contains("URIs: http://one.example/debian\n"));
    }
}

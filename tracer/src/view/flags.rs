//! Names of the bits that calls on address spaces take: numbers in, names out.
//!
//! Values are those of `include/uapi/linux/mman.h`, `include/uapi/asm-generic/mman*.h` and
//! `include/uapi/linux/shm.h`, which x86-64 and aarch64 share but for the bits marked so.

/// A family of names: `MAP_*`, `PROT_*`, ….
#[derive(Debug)]
pub struct Family {
    /// What all its names begin with.
    prefix: &'static str,
    /// These bits are one number, named by `values`, rather than a bit each.
    field: u64,
    values: &'static [(u64, &'static str)],
    bits: &'static [(u64, &'static str)],
}

/// `PROT_*`.
pub static PROT: Family = Family {
    prefix: "PROT_",
    field: 0,
    values: &[],
    bits: &[
        (0x1, "READ"),
        (0x2, "WRITE"),
        (0x4, "EXEC"),
        (0x8, "SEM"),
        (0x10, "BTI"), // aarch64
        (0x20, "MTE"), // aarch64
        (0x0100_0000, "GROWSDOWN"),
        (0x0200_0000, "GROWSUP"),
    ],
};

/// `MAP_*`.
pub static MAP: Family = Family {
    prefix: "MAP_",
    field: 0xf,
    values: &[
        (0x1, "SHARED"),
        (0x2, "PRIVATE"),
        (0x3, "SHARED_VALIDATE"),
        (0x8, "DROPPABLE"),
    ],
    bits: &[
        (0x20, "ANONYMOUS"),
        (0x10, "FIXED"),
        (0x10_0000, "FIXED_NOREPLACE"),
        (0x4000, "NORESERVE"),
        (0x2_0000, "STACK"),
        (0x100, "GROWSDOWN"),
        (0x8000, "POPULATE"),
        (0x1_0000, "NONBLOCK"),
        (0x2000, "LOCKED"),
        (0x4_0000, "HUGETLB"),
        (0x8_0000, "SYNC"),
        (0x40, "32BIT"),   // x86-64
        (0x80, "ABOVE4G"), // x86-64
        (0x800, "DENYWRITE"),
        (0x1000, "EXECUTABLE"),
    ],
};

/// `MADV_*`: a number each, no bits.
pub static MADV: Family = Family {
    prefix: "MADV_",
    field: u64::MAX,
    values: &[
        (0, "NORMAL"),
        (1, "RANDOM"),
        (2, "SEQUENTIAL"),
        (3, "WILLNEED"),
        (4, "DONTNEED"),
        (8, "FREE"),
        (9, "REMOVE"),
        (10, "DONTFORK"),
        (11, "DOFORK"),
        (12, "MERGEABLE"),
        (13, "UNMERGEABLE"),
        (14, "HUGEPAGE"),
        (15, "NOHUGEPAGE"),
        (16, "DONTDUMP"),
        (17, "DODUMP"),
        (18, "WIPEONFORK"),
        (19, "KEEPONFORK"),
        (20, "COLD"),
        (21, "PAGEOUT"),
        (22, "POPULATE_READ"),
        (23, "POPULATE_WRITE"),
        (24, "DONTNEED_LOCKED"),
        (25, "COLLAPSE"),
        (100, "HWPOISON"),
        (101, "SOFT_OFFLINE"),
        (102, "GUARD_INSTALL"),
        (103, "GUARD_REMOVE"),
    ],
    bits: &[],
};

/// `MREMAP_*`.
pub static MREMAP: Family = Family {
    prefix: "MREMAP_",
    field: 0,
    values: &[],
    bits: &[(1, "MAYMOVE"), (2, "FIXED"), (4, "DONTUNMAP")],
};

/// `MCL_*`, of `mlockall`.
pub static MCL: Family = Family {
    prefix: "MCL_",
    field: 0,
    values: &[],
    bits: &[(1, "CURRENT"), (2, "FUTURE"), (4, "ONFAULT")],
};

/// `SHM_*`, of `shmat`.
pub static SHM: Family = Family {
    prefix: "SHM_",
    field: 0,
    values: &[],
    bits: &[
        (0x1000, "RDONLY"),
        (0x2000, "RND"),
        (0x4000, "REMAP"),
        (0x8000, "EXEC"),
    ],
};

impl Family {
    /// Full names, `MAP_PRIVATE`; what has none as a hexadecimal number.
    #[must_use]
    pub fn names(&self, bits: u64) -> Vec<String> {
        self.each(bits, |name| format!("{}{name}", self.prefix))
    }

    /// Short names for people, `private`; what has none as a hexadecimal number.
    #[must_use]
    pub fn words(&self, bits: u64) -> Vec<String> {
        self.each(bits, |name| match name {
            "ANONYMOUS" => "anon".to_owned(),
            _ => name.to_ascii_lowercase().replace('_', "-"),
        })
    }

    fn each(&self, bits: u64, name: impl Fn(&str) -> String) -> Vec<String> {
        let value = bits & self.field;
        let mut rest = bits;
        let mut names = Vec::new();
        if let Some((_, known)) = self.values.iter().find(|(number, _)| *number == value) {
            rest &= !self.field;
            names.push(name(known));
        }
        for (bit, known) in self.bits {
            if bits & bit != 0 {
                rest &= !bit;
                names.push(name(known));
            }
        }
        if rest != 0 {
            names.push(format!("{rest:#x}"));
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_named_and_unknown_ones_kept() {
        assert_eq!(MAP.words(0x22 | 0x4000).join(" "), "private anon noreserve");
        assert_eq!(MAP.names(0x22), ["MAP_PRIVATE", "MAP_ANONYMOUS"]);
        assert_eq!(MAP.words(0x20 | 0x5 | 0x200).join(" "), "anon 0x205");
        assert_eq!(PROT.names(0), Vec::<String>::new());
        assert_eq!(MREMAP.words(5), ["maymove", "dontunmap"]);
    }

    #[test]
    fn advice_is_one_number() {
        assert_eq!(MADV.names(0), ["MADV_NORMAL"]);
        assert_eq!(MADV.names(24), ["MADV_DONTNEED_LOCKED"]);
        assert_eq!(MADV.names(7), ["0x7"]);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn numbers_are_those_of_libc() {
        let map = libc::MAP_PRIVATE | libc::MAP_STACK | libc::MAP_HUGETLB | libc::MAP_32BIT;
        assert_eq!(
            MAP.words(map as u64).join(" "),
            "private stack hugetlb 32bit"
        );
        assert_eq!(MADV.words(libc::MADV_FREE as u64), ["free"]);
        assert_eq!(MCL.words(libc::MCL_ONFAULT as u64), ["onfault"]);
        assert_eq!(SHM.words(libc::SHM_REMAP as u64), ["remap"]);
    }
}

//! The kernel's map of a process: text of `/proc/<pid>/maps` and `smaps` in, VMAs out.
//!
//! Read by hand rather than by a library because the last column is needed to the letter:
//! it is what the rebuilt map is compared and shown with.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    attribute::evidence::Resident,
    space::{piece::Prot, vma::Vma},
    units::{Addr, Bytes, Pid, Span},
};

/// Reads the mappings of a process.
///
/// # Errors
/// The process is gone, or may not be read.
pub fn read_maps(pid: Pid) -> Result<Vec<Vma>> {
    let text = read(pid, "maps")?;
    Ok(text.lines().filter_map(parse_line).collect())
}

/// Reads what is in memory of each mapping. Walks page tables: milliseconds per GiB
/// resident.
///
/// # Errors
/// The process is gone, or may not be read.
pub fn read_residency(pid: Pid) -> Result<Vec<Resident>> {
    Ok(parse_residency(&read(pid, "smaps")?))
}

fn read(pid: Pid, file: &str) -> Result<String> {
    let path = Path::new("/proc").join(pid.to_string()).join(file);
    let bytes = std::fs::read(&path)
        .with_context(|| format!("cannot read the mappings of process {pid}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One line: `start-end perms offset major:minor inode   name`.
fn parse_line(line: &str) -> Option<Vma> {
    let mut rest = line;
    let mut field = || {
        let (field, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = behind;
        field
    };
    let (start, end) = field().split_once('-')?;
    let perms = field().as_bytes();
    let offset = u64::from_str_radix(field(), 16).ok()?;
    let (major, minor) = field().split_once(':')?;
    let inode = field().parse().ok()?;
    let hex = |digits| u64::from_str_radix(digits, 16).ok();
    Some(Vma {
        span: Span::between(Addr(hex(start)?), Addr(hex(end)?)),
        prot: Prot {
            read: perms.first() == Some(&b'r'),
            write: perms.get(1) == Some(&b'w'),
            exec: perms.get(2) == Some(&b'x'),
        },
        shared: perms.get(3) == Some(&b's'),
        offset,
        device: hex(major)? << 32 | hex(minor)?,
        inode,
        name: rest.trim_start().to_owned(),
    })
}

fn parse_residency(text: &str) -> Vec<Resident> {
    let mut all: Vec<Resident> = Vec::new();
    for line in text.lines() {
        if let Some(vma) = parse_line(line) {
            all.push(Resident {
                span: vma.span,
                ..Resident::default()
            });
            continue;
        }
        let (Some(vma), Some((key, value))) = (all.last_mut(), line.split_once(':')) else {
            continue;
        };
        let size = || {
            let kib = value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?;
            Some(Bytes(kib << 10))
        };
        match key {
            "Rss" => vma.rss = size().unwrap_or_default(),
            "Anonymous" => vma.anonymous = size().unwrap_or_default(),
            "LazyFree" => vma.lazy_free = size().unwrap_or_default(),
            "Swap" => vma.swap = size().unwrap_or_default(),
            "AnonHugePages" => vma.anon_huge = size().unwrap_or_default(),
            "Private_Hugetlb" | "Shared_Hugetlb" => vma.huge_tlb += size().unwrap_or_default(),
            "VmFlags" => vma.no_reserve = value.split_whitespace().any(|flag| flag == "nr"),
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_to_the_letter() {
        let line = "7f00-8f00 r-xp 00001000 fe:01 42         /a b/lib c.so (deleted)";
        let vma = parse_line(line).expect("a line");
        assert_eq!(vma.name, "/a b/lib c.so (deleted)");
        assert_eq!(
            (vma.offset, vma.inode, vma.device),
            (0x1000, 42, 0xfe << 32 | 1)
        );
        assert_eq!(vma.prot.to_string(), "r-x");
        let anonymous = parse_line("1000-2000 rw-p 00000000 00:00 0 ").expect("a line");
        assert_eq!(anonymous.name, "");
    }

    #[test]
    fn what_is_no_line_is_none() {
        assert_eq!(parse_line("Rss:      12 kB"), None);
        assert_eq!(parse_line(""), None);
        assert_eq!(parse_line("zz-yy r-xp 0 0:0 0"), None);
    }

    #[test]
    fn residency_is_read_per_mapping() {
        let text = "1000-3000 rw-p 00000000 00:00 0 \nSize: 8 kB\nRss: 4 kB\nLazyFree: 4 kB\n\
                    VmFlags: rd wr nr \n3000-4000 r--p 00000000 00:00 0 \nRss: 0 kB\n";
        let read = parse_residency(text);
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].rss, read[0].lazy_free), (Bytes(4096), Bytes(4096)));
        assert!(read[0].no_reserve && !read[1].no_reserve);
    }

    #[test]
    fn own_mappings_cover_this_function() {
        let vmas = read_maps(Pid(std::process::id())).expect("own maps");
        let here = own_mappings_cover_this_function as *const () as u64;
        let code = vmas.iter().find(|vma| vma.span.contains(Addr(here)));
        assert!(code.expect("a mapping").prot.exec);
    }
}

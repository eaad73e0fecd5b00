//! Which pages of a process are in memory: `/proc/<pid>/pagemap` and ranges in, sums by range
//! out. Bounded by time; what was not looked at is said.
//!
//! Linux 6.7 and newer are asked by the call `PAGEMAP_SCAN`, which passes over what has no page
//! tables; older ones give eight bytes for each page (`Documentation/admin-guide/mm/pagemap.rst`).
//! Neither needs more than the right to read the process: only frame numbers do.

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::kernel::page_size;
use crate::{
    attribute::evidence::{PageCensus, PageMethod, PageSum},
    units::{Addr, Bytes, Pid, Span},
};

/// How long one process is looked at, at most.
const PATIENCE: Duration = Duration::from_millis(250);
/// The most that one scan goes through: the kernel holds the map's lock for reading meanwhile, two
/// milliseconds if all of it is in memory and the machine is busy.
const STRIDE: u64 = 256 << 20;
/// Entries of `pagemap` read at a time.
const ENTRIES: usize = 8192;
/// Regions that the kernel can tell of at a time.
const REGIONS: usize = 1024;

// include/uapi/linux/fs.h, since Linux 6.7.
const IS_PRESENT: u64 = 1 << 3;
const IS_SWAPPED: u64 = 1 << 4;
const IS_ZERO: u64 = 1 << 5;
const IS_HUGE: u64 = 1 << 6;
// Documentation/admin-guide/mm/pagemap.rst
const ENTRY_PRESENT: u64 = 1 << 63;
const ENTRY_SWAPPED: u64 = 1 << 62;

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Default)]
pub struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

nix::ioctl_readwrite!(
    /// `PAGEMAP_SCAN`.
    pagemap_scan,
    b'f',
    16,
    Scan
);

/// Looks at ranges of a process, in the order given.
///
/// # Errors
/// The process is gone, or may not be read.
pub fn census(pid: Pid, spans: &[Span]) -> Result<PageCensus> {
    let file = File::open(format!("/proc/{pid}/pagemap"))
        .with_context(|| format!("cannot read which pages of process {pid} are in memory"))?;
    let began = Instant::now();
    let mut look = Look {
        file,
        regions: vec![Region::default(); REGIONS],
        entries: vec![0; ENTRIES * size_of::<u64>()],
        method: PageMethod::Scan,
    };
    let mut sums = Vec::with_capacity(spans.len());
    let mut left_out = Bytes(0);
    for span in spans {
        if began.elapsed() > PATIENCE {
            left_out += span.len();
            continue;
        }
        match look.range(*span, began) {
            Ok(Some(sum)) => sums.push(sum),
            Ok(None) => left_out += span.len(),
            Err(error) if sums.is_empty() => {
                return Err(error).with_context(|| {
                    format!("cannot read which pages of process {pid} are in memory")
                });
            }
            // It ended meanwhile.
            Err(_) => left_out += span.len(),
        }
    }
    Ok(PageCensus {
        method: look.method,
        looked_at: sums.iter().map(|sum| sum.span.len()).sum(),
        sums,
        left_out,
        took_ns: u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX),
    })
}

struct Look {
    file: File,
    regions: Vec<Region>,
    entries: Vec<u8>,
    method: PageMethod,
}

impl Look {
    /// Looks at one range; `None` if time ran out.
    fn range(&mut self, span: Span, began: Instant) -> io::Result<Option<PageSum>> {
        let mut tally = Tally::new(span);
        let mut at = span.start;
        while at < span.end {
            if began.elapsed() > PATIENCE {
                return Ok(None);
            }
            let end = Addr(span.end.0.min(at.0.saturating_add(STRIDE)));
            at = match self.method {
                PageMethod::Scan => match self.scan(at, end, &mut tally) {
                    Ok(reached) => reached,
                    // Before Linux 6.7 there is no such call.
                    Err(error) if no_such_call(&error) => {
                        self.method = PageMethod::Entries;
                        at
                    }
                    Err(error) => return Err(error),
                },
                PageMethod::Entries => self.read(at, end, &mut tally)?,
            };
        }
        Ok(Some(tally.sum))
    }

    fn scan(&mut self, start: Addr, end: Addr, tally: &mut Tally) -> io::Result<Addr> {
        let mut scan = Scan {
            size: size_of::<Scan>() as u64,
            start: start.0,
            end: end.0,
            vec: self.regions.as_mut_ptr() as u64,
            vec_len: self.regions.len() as u64,
            category_anyof_mask: IS_PRESENT | IS_SWAPPED,
            return_mask: IS_PRESENT | IS_SWAPPED | IS_ZERO | IS_HUGE,
            ..Scan::default()
        };
        #[expect(unsafe_code, reason = "there is no safe way to make this call")]
        // SAFETY: the argument is a `struct pm_scan_arg` of the size it says, and its vector
        // points to as many writable regions as it says, which live as long as `self`.
        let found = unsafe { pagemap_scan(self.file.as_raw_fd(), &raw mut scan) }?;
        let found = usize::try_from(found).unwrap_or_default().min(REGIONS);
        for region in &self.regions[..found] {
            let span = Span::between(Addr(region.start), Addr(region.end));
            let has = |category| region.categories & category != 0;
            tally.add(
                span,
                Page {
                    swapped: has(IS_SWAPPED),
                    zero: has(IS_ZERO),
                    huge: has(IS_HUGE),
                },
            );
        }
        let reached = Addr(scan.walk_end.clamp(start.0, end.0));
        if reached == start {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(reached)
    }

    fn read(&mut self, start: Addr, end: Addr, tally: &mut Tally) -> io::Result<Addr> {
        const ENTRY: usize = size_of::<u64>();
        let page = page_size();
        let first = start.0 / page.0;
        let pages = usize::try_from((end.0 - start.0) / page.0).unwrap_or(ENTRIES);
        let buffer = &mut self.entries[..pages.min(ENTRIES) * ENTRY];
        let read = self.file.read_at(buffer, first * ENTRY as u64)? / ENTRY;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        for (index, entry) in buffer[..read * ENTRY].chunks_exact(ENTRY).enumerate() {
            let mut bytes = [0; ENTRY];
            bytes.copy_from_slice(entry);
            let entry = u64::from_ne_bytes(bytes);
            if entry & (ENTRY_PRESENT | ENTRY_SWAPPED) != 0 {
                let span = Span::new(Addr((first + index as u64) * page.0), page.0);
                tally.add(
                    span,
                    Page {
                        swapped: entry & ENTRY_SWAPPED != 0,
                        zero: false,
                        huge: false,
                    },
                );
            }
        }
        Ok(Addr(start.0 + read as u64 * page.0))
    }
}

/// What is known of pages that are there.
struct Page {
    swapped: bool,
    zero: bool,
    huge: bool,
}

/// The sum of a range in the making.
struct Tally {
    sum: PageSum,
    /// Where the last run of pages in memory ended.
    run: Addr,
}

impl Tally {
    fn new(span: Span) -> Self {
        Self {
            sum: PageSum {
                span,
                ..PageSum::default()
            },
            run: Addr(0),
        }
    }

    fn add(&mut self, span: Span, page: Page) {
        let Some(span) = span.intersect(self.sum.span) else {
            return;
        };
        let bytes = span.len();
        match page {
            Page { swapped: true, .. } => self.sum.swapped += bytes,
            // The kernel's one page of zeroes: read, never written; RSS does not count it.
            Page { zero: true, .. } => self.sum.zero += bytes,
            Page { huge, .. } => {
                self.sum.resident += bytes;
                self.sum.runs += u64::from(span.start != self.run);
                self.run = span.end;
                if huge {
                    self.sum.huge += bytes;
                }
            }
        }
    }
}

fn no_such_call(error: &io::Error) -> bool {
    [libc::ENOTTY, libc::EINVAL].contains(&error.raw_os_error().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

    use super::*;

    /// Eight pages of this process, the first, second and fifth of which are written to.
    fn pages() -> Span {
        let page = usize::try_from(page_size().0).expect("small");
        let len = std::num::NonZeroUsize::new(8 * page).expect("some");
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        #[expect(unsafe_code, reason = "nix offers no safe way to map memory")]
        // SAFETY: new memory at a place of the kernel's choice, which is never unmapped.
        let memory = unsafe { mmap_anonymous(None, len, prot, MapFlags::MAP_PRIVATE) };
        let memory = memory.expect("eight pages").cast::<u8>();
        for index in [0, 1, 4] {
            #[expect(unsafe_code, reason = "the memory is raw")]
            // SAFETY: it has eight writable pages, of which this is one.
            unsafe {
                memory.add(index * page).write(1);
            }
        }
        Span::new(Addr(memory.as_ptr() as u64), 8 * page as u64)
    }

    fn look(method: PageMethod, span: Span) -> PageSum {
        let file = File::open("/proc/self/pagemap").expect("own pages");
        let mut look = Look {
            file,
            regions: vec![Region::default(); REGIONS],
            entries: vec![0; ENTRIES * size_of::<u64>()],
            method,
        };
        let sum = look.range(span, Instant::now()).expect("it can be read");
        sum.expect("in time")
    }

    #[test]
    fn both_ways_find_the_pages_that_were_written() {
        let span = pages();
        let page = page_size().0;
        for method in [PageMethod::Scan, PageMethod::Entries] {
            let sum = look(method, span);
            assert_eq!(sum.resident, Bytes(3 * page), "{method:?}: {sum:?}");
            assert_eq!(sum.runs, 2, "{method:?}: {sum:?}");
            assert_eq!(sum.swapped, Bytes(0));
        }
    }

    #[test]
    fn a_census_says_what_it_looked_at() {
        let span = pages();
        let census = census(Pid(std::process::id()), &[span]).expect("this process");
        assert_eq!(census.looked_at, span.len());
        assert_eq!(census.left_out, Bytes(0));
        assert_eq!(census.sums.len(), 1);
        assert!(super::census(Pid(0), &[span]).is_err());
    }
}

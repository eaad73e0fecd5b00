//! An allocator's own statistics: asked without allocating, a short list of figures out.
//!
//! A second witness beside the kernel: what an observer says of an allocator can be held
//! against what that says of itself.
#![expect(
    unsafe_code,
    reason = "calls the C interfaces by which allocators tell their figures"
)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt::{Result, Write};
use std::mem::transmute;
use std::ptr::{from_mut, null_mut};
use std::sync::OnceLock;

use crate::allocator::Allocator;

/// The figures that are told at most.
const MOST: usize = 8;
/// Room for what mimalloc writes.
const JSON: usize = 32 << 10;

type Mallctl =
    unsafe extern "C" fn(*const c_char, *mut c_void, *mut usize, *mut c_void, usize) -> c_int;
type GetProperty = unsafe extern "C" fn(*const c_char, *mut usize) -> c_int;
type ProcessInfo = unsafe extern "C" fn(
    *mut usize,
    *mut usize,
    *mut usize,
    *mut usize,
    *mut usize,
    *mut usize,
    *mut usize,
    *mut usize,
);

/// A malloc that is linked in place of the C library's, and its figures.
#[derive(Debug)]
pub struct Malloc {
    /// Whose it is.
    pub name: &'static str,
    /// Asks for its figures, without allocating.
    pub figures: fn(&mut dyn FnMut(&'static str, usize)),
}

/// The one of this program, if there is one.
static REPLACED: OnceLock<&Malloc> = OnceLock::new();

/// Says what took the place of the C library's malloc; what is said first counts.
pub fn replace(malloc: &'static Malloc) {
    REPLACED.get_or_init(|| malloc);
}

/// Whose figures, and which.
#[derive(Debug, Clone, Copy)]
pub struct Stats {
    source: &'static str,
    figures: [(&'static str, u64); MOST],
    count: usize,
}

impl Stats {
    /// Asks an allocator; for the system's, whatever took the place of the C library's malloc.
    pub fn ask(allocator: Allocator) -> Self {
        match allocator {
            Allocator::Jemalloc => jemalloc(tikv_jemalloc_sys::mallctl),
            Allocator::Mimalloc => mimalloc(),
            Allocator::Snmalloc => snmalloc(),
            Allocator::Rpmalloc => rpmalloc(),
            Allocator::System => match REPLACED.get() {
                Some(malloc) => replaced(malloc),
                None => preloaded().unwrap_or_else(glibc),
            },
        }
    }

    const fn of(source: &'static str) -> Self {
        Self {
            source,
            figures: [("", 0); MOST],
            count: 0,
        }
    }

    fn add(&mut self, name: &'static str, figure: u64) {
        if let Some(slot) = self.figures.get_mut(self.count) {
            *slot = (name, figure);
            self.count += 1;
        }
    }

    /// Writes them as members of a JSON object.
    pub fn write(&self, out: &mut impl Write) -> Result {
        write!(out, r#""source":"{}""#, self.source)?;
        for (name, figure) in &self.figures[..self.count] {
            write!(out, r#","{name}":{figure}"#)?;
        }
        Ok(())
    }
}

fn replaced(malloc: &Malloc) -> Stats {
    let mut stats = Stats::of(malloc.name);
    (malloc.figures)(&mut |name, figure| stats.add(name, figure as u64));
    stats
}

/// The allocator that `LD_PRELOAD` put in place of the C library's, if it can be asked.
fn preloaded() -> Option<Stats> {
    if let Some(found) = symbol(c"mallctl") {
        // SAFETY: only jemalloc has a function of this name, and this is its type.
        return Some(jemalloc(unsafe {
            transmute::<*mut c_void, Mallctl>(found)
        }));
    }
    if let Some(found) = symbol(c"MallocExtension_GetNumericProperty") {
        // SAFETY: only gperftools has a function of this name, and this is its type.
        return Some(tcmalloc(unsafe {
            transmute::<*mut c_void, GetProperty>(found)
        }));
    }
    if symbol(c"__scudo_print_stats").is_some() {
        return Some(scudo());
    }
    let found = symbol(c"mi_process_info").filter(|found| *found != own_process_info())?;
    // SAFETY: only mimalloc has a function of this name, and this is its type.
    Some(process_info("mimalloc", unsafe {
        transmute::<*mut c_void, ProcessInfo>(found)
    }))
}

fn own_process_info() -> *mut c_void {
    libmimalloc_sys::mi_process_info as *mut c_void
}

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends with a zero.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

fn jemalloc(mallctl: Mallctl) -> Stats {
    let mut stats = Stats::of("jemalloc");
    let mut epoch = 1_u64;
    // SAFETY: `epoch` takes a u64, which this is; nothing is read.
    unsafe {
        mallctl(
            c"epoch".as_ptr(),
            null_mut(),
            null_mut(),
            from_mut(&mut epoch).cast(),
            size_of::<u64>(),
        );
    }
    for (name, key) in [
        ("allocated", c"stats.allocated"),
        ("active", c"stats.active"),
        ("metadata", c"stats.metadata"),
        ("resident", c"stats.resident"),
        ("mapped", c"stats.mapped"),
        ("retained", c"stats.retained"),
    ] {
        let (mut figure, mut size) = (0_usize, size_of::<usize>());
        // SAFETY: these are of type size_t, for which there is room.
        let failed = unsafe {
            mallctl(
                key.as_ptr(),
                from_mut(&mut figure).cast(),
                &raw mut size,
                null_mut(),
                0,
            )
        };
        if failed == 0 {
            stats.add(name, figure as u64);
        }
    }
    stats
}

fn tcmalloc(get: GetProperty) -> Stats {
    let mut stats = Stats::of("tcmalloc");
    for (name, key) in [
        ("allocated", c"generic.current_allocated_bytes"),
        ("heap", c"generic.heap_size"),
        ("free", c"tcmalloc.pageheap_free_bytes"),
        ("unmapped", c"tcmalloc.pageheap_unmapped_bytes"),
    ] {
        let mut figure = 0_usize;
        // SAFETY: the name ends with a zero, and there is room for a size_t.
        if unsafe { get(key.as_ptr(), &raw mut figure) } != 0 {
            stats.add(name, figure as u64);
        }
    }
    stats
}

fn mimalloc() -> Stats {
    let mut stats = process_info("mimalloc", libmimalloc_sys::mi_process_info);
    let mut text = [0_u8; JSON];
    // SAFETY: there is as much room as is said; what is written ends with a zero.
    let written = unsafe { libmimalloc_sys::mi_stats_get_json(JSON, text.as_mut_ptr().cast()) };
    let text = CStr::from_bytes_until_nul(&text).unwrap_or_default();
    if !written.is_null()
        && let Ok(text) = text.to_str()
    {
        for (name, key) in [("reserved", "\"reserved\""), ("committed", "\"committed\"")] {
            if let Some(figure) = current(text, key) {
                stats.add(name, figure);
            }
        }
    }
    stats
}

/// The number behind `"current":` of an object in mimalloc's JSON.
fn current(json: &str, key: &str) -> Option<u64> {
    let (_, object) = json.split_once(key)?;
    let (_, value) = object.split_once("\"current\":")?;
    let value = value.trim_start();
    let end = value.find(|c: char| !c.is_ascii_digit())?;
    value[..end].parse().ok()
}

fn process_info(source: &'static str, ask: ProcessInfo) -> Stats {
    let mut stats = Stats::of(source);
    let mut commit = 0_usize;
    // SAFETY: each pointer may be null; this one has room for a size_t.
    unsafe {
        ask(
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut commit,
            null_mut(),
            null_mut(),
        );
    }
    stats.add("current_commit", commit as u64);
    stats
}

fn snmalloc() -> Stats {
    let mut stats = Stats::of("snmalloc");
    let (mut current, mut peak) = (0_usize, 0_usize);
    // SAFETY: there is room for both.
    unsafe { snmalloc_sys::sn_rust_statistics(&raw mut current, &raw mut peak) };
    stats.add("committed", current as u64);
    stats.add("committed_peak", peak as u64);
    stats
}

fn rpmalloc() -> Stats {
    let mut stats = Stats::of("rpmalloc");
    let mut told = rpmalloc_sys::rpmalloc_global_statistics_t::default();
    // SAFETY: there is room for it, of the layout that the library has it in.
    unsafe { rpmalloc_sys::rpmalloc_global_statistics(&raw mut told) };
    stats.add("mapped", told.mapped as u64);
    stats.add("huge", told.huge_alloc as u64);
    stats.add("cached", told.cached as u64);
    stats
}

/// A name of one's own and the figure, of those that the C library has for malloc.
#[cfg(target_env = "gnu")]
type Figure = (&'static str, fn(&libc::mallinfo2) -> usize);

#[cfg(target_env = "gnu")]
fn mallinfo<const N: usize>(source: &'static str, figures: [Figure; N]) -> Stats {
    let mut stats = Stats::of(source);
    // SAFETY: may be called at any time.
    let info = unsafe { libc::mallinfo2() };
    for (name, figure) in figures {
        stats.add(name, figure(&info) as u64);
    }
    stats
}

#[cfg(target_env = "gnu")]
fn glibc() -> Stats {
    mallinfo(
        "glibc",
        [
            ("arena", |info| info.arena),
            ("hblkhd", |info| info.hblkhd),
            ("uordblks", |info| info.uordblks),
            ("fordblks", |info| info.fordblks),
            ("keepcost", |info| info.keepcost),
        ],
    )
}

/// It takes the place of the C library's function too.
#[cfg(target_env = "gnu")]
fn scudo() -> Stats {
    mallinfo(
        "scudo",
        [
            ("mapped", |info| info.hblkhd),
            ("allocated", |info| info.uordblks),
            ("free", |info| info.fordblks),
        ],
    )
}

#[cfg(not(target_env = "gnu"))]
fn glibc() -> Stats {
    Stats::of("none")
}

#[cfg(not(target_env = "gnu"))]
fn scudo() -> Stats {
    Stats::of("none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_in_its_own_object() {
        let json = r#"{ "reserved": { "total": 5, "current": 17 }, "committed": {"current": 4 } }"#;
        assert_eq!(current(json, "\"reserved\""), Some(17));
        assert_eq!(current(json, "\"committed\""), Some(4));
        assert_eq!(current(json, "\"none\""), None);
    }
}

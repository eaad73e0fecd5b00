//! How many calls were made, by name, counted across threads and children.
//!
//! Everything here lies in one shared page, so that a forked child counts in
//! the same place.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

macro_rules! calls {
    ($($variant:ident $name:literal $number:ident;)*) => {
        /// A call that the fuzzer makes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Call {
            $($variant,)*
        }

        impl Call {
            const NAMES: &[&str] = &[$($name),*];

            /// Its number on this machine.
            pub fn number(self) -> libc::c_long {
                match self { $(Self::$variant => libc::$number,)* }
            }
        }
    };
}

calls! {
    Mmap "mmap" SYS_mmap;
    Munmap "munmap" SYS_munmap;
    Mremap "mremap" SYS_mremap;
    Mprotect "mprotect" SYS_mprotect;
    PkeyMprotect "pkey_mprotect" SYS_pkey_mprotect;
    Madvise "madvise" SYS_madvise;
    ProcessMadvise "process_madvise" SYS_process_madvise;
    Brk "brk" SYS_brk;
    Mlock "mlock" SYS_mlock;
    Mlock2 "mlock2" SYS_mlock2;
    Munlock "munlock" SYS_munlock;
    Mlockall "mlockall" SYS_mlockall;
    Munlockall "munlockall" SYS_munlockall;
    Shmat "shmat" SYS_shmat;
    Shmdt "shmdt" SYS_shmdt;
    RemapFilePages "remap_file_pages" SYS_remap_file_pages;
    Prctl "prctl" SYS_prctl;
    IoSetup "io_setup" SYS_io_setup;
    IoDestroy "io_destroy" SYS_io_destroy;
}

/// Different calls.
const CALLS: usize = Call::NAMES.len();
/// At most so many children live on until the end.
pub const MOST_LIVING: usize = 4;

/// The shared page.
#[derive(Debug)]
pub struct Tally {
    made: [AtomicU64; CALLS],
    failed: [AtomicU64; CALLS],
    /// Children that were promised to live on, by the order of their making.
    living: [AtomicU32; MOST_LIVING],
    promised: AtomicUsize,
    settled: AtomicUsize,
    forked: AtomicUsize,
}

impl Tally {
    /// Nothing counted.
    pub const fn new() -> Self {
        Self {
            made: [const { AtomicU64::new(0) }; CALLS],
            failed: [const { AtomicU64::new(0) }; CALLS],
            living: [const { AtomicU32::new(0) }; MOST_LIVING],
            promised: AtomicUsize::new(0),
            settled: AtomicUsize::new(0),
            forked: AtomicUsize::new(0),
        }
    }

    /// Counts a call.
    pub fn count(&self, call: Call, succeeded: bool) {
        self.made[call as usize].fetch_add(1, Ordering::Relaxed);
        if !succeeded {
            self.failed[call as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All calls so far.
    pub fn total(&self) -> u64 {
        sum(&self.made)
    }

    /// Whether one more child may be made, of `most` in all.
    pub fn may_fork(&self, most: usize) -> bool {
        self.forked.fetch_add(1, Ordering::Relaxed) < most
    }

    /// A place among the children that live on, if one is left.
    pub fn promise_to_live(&self) -> Option<usize> {
        let place = self.promised.fetch_add(1, Ordering::Relaxed);
        if place < MOST_LIVING {
            return Some(place);
        }
        self.promised.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Gives the place back: there is no such child.
    pub fn settle_without(&self) {
        self.settled.fetch_add(1, Ordering::Release);
    }

    /// The child of this place makes no more calls.
    pub fn settle(&self, place: usize, pid: u32) {
        self.living[place].store(pid, Ordering::Relaxed);
        self.settled.fetch_add(1, Ordering::Release);
    }

    /// Whether all children that live on make no more calls.
    pub fn all_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire) >= self.promised.load(Ordering::Relaxed)
    }

    /// The counts as members of a JSON object, without its braces.
    pub fn write(&self, text: &mut String) -> fmt::Result {
        let failed = sum(&self.failed);
        write!(
            text,
            r#""calls":{},"failed":{failed},"by_call":{{"#,
            self.total()
        )?;
        let rows = Call::NAMES.iter().zip(self.made.iter().zip(&self.failed));
        for (index, (name, (made, failed))) in rows.enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let (made, failed) = (made.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
            write!(
                text,
                r#"{comma}"{name}":{{"calls":{made},"failed":{failed}}}"#
            )?;
        }
        text.push_str(r#"},"children":["#);
        let pids = self.living.iter().map(|pid| pid.load(Ordering::Relaxed));
        for (index, pid) in pids.filter(|pid| *pid != 0).enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(text, "{comma}{pid}")?;
        }
        text.push(']');
        Ok(())
    }
}

fn sum(counters: &[AtomicU64]) -> u64 {
    counters
        .iter()
        .map(|counter| counter.load(Ordering::Relaxed))
        .sum()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_counts_are_json() {
        let tally = Tally::new();
        tally.count(Call::Mmap, true);
        tally.count(Call::Munmap, false);
        let place = tally.promise_to_live().expect("the first");
        assert!(!tally.all_settled());
        tally.settle(place, 42);
        assert!(tally.all_settled());
        let mut text = "{".to_owned();
        tally.write(&mut text).expect("strings take all");
        text.push('}');
        let value: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!((&value["calls"], &value["failed"]), (&json!(2), &json!(1)));
        assert_eq!(value["by_call"]["munmap"], json!({"calls": 1, "failed": 1}));
        assert_eq!(value["children"], json!([42]));
    }
}

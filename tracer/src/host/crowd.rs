//! All processes of this host, as cheaply as `/proc` shows them.
//!
//! One small file of each is read at a look; who a process is and what is in memory of it are read
//! of one at a time, when somebody decided that it is worth it.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read as _},
};

use super::process::is_32_bit;
use crate::{
    audit::{
        group::Group,
        sample::{Began, Kind, Rollup, Sample, Who},
    },
    units::{Bytes, PageSize, Pid},
};

/// Of a file of `/proc` whose size the kernel bounds, or somebody's choice of group names.
const MOST_TEXT: usize = 64 << 10;
/// More than most of these files have.
const CHUNK: usize = 4 << 10;
/// `PF_KTHREAD` (`include/linux/sched.h`), in the flags of `stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Looks at every process.
///
/// # Errors
/// `/proc` cannot be listed.
pub fn look(page: PageSize) -> io::Result<Vec<Sample>> {
    let mut text = String::new();
    let entries = fs::read_dir("/proc")?.flatten();
    let samples = entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        // It may have ended since it was listed.
        read(&format!("/proc/{pid}/stat"), &mut text).ok()?;
        parse_stat(&text, page)
    });
    Ok(samples.collect())
}

/// Who a process is. What cannot be read stays empty.
#[must_use]
pub fn who(pid: Pid, users: &Users) -> Who {
    let mut text = String::new();
    let mut who = Who::default();
    if read(&format!("/proc/{pid}/status"), &mut text).is_ok() {
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name));
        // Real, effective, saved, of the file system.
        let uid = field("Uid:").and_then(|ids| ids.split_whitespace().nth(1));
        who.uid = uid.and_then(|uid| uid.parse().ok()).unwrap_or(0);
        let ids: Vec<_> = field("NSpid:").map_or_else(Vec::new, |ids| {
            ids.split_whitespace().map(str::to_owned).collect()
        });
        if let [_, .., inner] = ids.as_slice() {
            who.ns_pid = inner.parse().ok().map(Pid);
        }
    }
    who.user = users.0.get(&who.uid).cloned();
    if read(&format!("/proc/{pid}/cgroup"), &mut text).is_ok() {
        who.group = Group::parse(&text);
    }
    if let Ok(path) = fs::read_link(format!("/proc/{pid}/exe")) {
        who.exe = path.to_string_lossy().into_owned();
        who.is_32_bit = is_32_bit(pid);
    }
    who
}

/// What is in memory of a process, in sum. The kernel walks its page tables: milliseconds per GiB
/// in memory.
///
/// # Errors
/// It is gone, or may not be read.
pub fn rollup(pid: Pid) -> io::Result<Rollup> {
    let mut text = String::new();
    read(&format!("/proc/{pid}/smaps_rollup"), &mut text)?;
    Ok(parse_rollup(&text))
}

/// How many mappings a process may have, if that can be read.
#[must_use]
pub fn max_map_count() -> Option<u64> {
    let text = fs::read_to_string("/proc/sys/vm/max_map_count").ok()?;
    text.trim().parse().ok()
}

/// Names of this host's users, by `/etc/passwd` alone: no directory service is asked, which could
/// be slow.
#[derive(Clone, Debug, Default)]
pub struct Users(HashMap<u32, String>);

impl Users {
    /// Reads them; none if that fails.
    #[must_use]
    pub fn read() -> Self {
        Self::parse(&fs::read_to_string("/etc/passwd").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let users = text.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
        });
        // Of two names the first is the user's.
        let mut names = HashMap::new();
        users.for_each(|(uid, name)| {
            names.entry(uid).or_insert(name);
        });
        Self(names)
    }
}

/// Reads a file of `/proc` that the kernel writes in one go: where it leaves room it has ended, and
/// need not be asked again. Thousands are read at each look.
fn read(path: &str, text: &mut String) -> io::Result<()> {
    let mut bytes = std::mem::take(text).into_bytes();
    let mut file = fs::File::open(path)?;
    let mut end = 0;
    loop {
        bytes.resize(end + CHUNK, 0);
        let room = bytes.get_mut(end..).unwrap_or_default();
        let read = file.read(room)?;
        end += read;
        if read < CHUNK || end >= MOST_TEXT {
            break;
        }
    }
    bytes.truncate(end);
    // Names of threads are anybody's bytes.
    *text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    Ok(())
}

/// `pid (comm) state ppid …`, as `fs/proc/array.c` writes it; the name may have anything in it.
fn parse_stat(text: &str, page: PageSize) -> Option<Sample> {
    let (pid, rest) = text.split_once(" (")?;
    let (comm, rest) = rest.rsplit_once(") ")?;
    // In this order: what is not of interest in between is skipped.
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let mut skip = |count: usize| fields.nth(count)?.parse::<u64>().ok();
    let (flags, began, vm_size, pages) = (skip(5)?, skip(12)?, skip(0)?, skip(0)?);
    let vm_size = Bytes(vm_size);
    let kind = if flags & KERNEL_THREAD != 0 {
        Kind::Kernel
    } else if matches!(state, "Z" | "X" | "x") || vm_size == Bytes(0) {
        Kind::Zombie
    } else {
        Kind::User
    };
    Some(Sample {
        pid: Pid(pid.parse().ok()?),
        began: Began(began),
        comm: comm.to_owned(),
        vm_size,
        rss: page.pages(pages),
        kind,
    })
}

fn parse_rollup(text: &str) -> Rollup {
    let size = |name: &str| {
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Bytes(kib.unwrap_or(0) << 10)
    };
    Rollup {
        rss: size("Rss"),
        anonymous: size("Anonymous"),
        lazy_free: size("LazyFree"),
        swap: size("Swap"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageSize = PageSize(4096);

    fn stat(comm: &str, state: char, flags: u64, pages: u64) -> String {
        format!(
            "42 ({comm}) {state} 1 42 42 0 -1 {flags} 1 0 0 0 5 6 0 0 20 0 1 0 777 {} {pages} 9",
            pages * 8192
        )
    }

    #[test]
    fn names_may_have_anything_in_them() {
        let sample = parse_stat(&stat("a) R (b", 'S', 0, 10), PAGE).expect("a process");
        assert_eq!(sample.comm, "a) R (b");
        assert_eq!((sample.pid, sample.began), (Pid(42), Began(777)));
        assert_eq!((sample.vm_size, sample.rss), (Bytes(81_920), Bytes(40_960)));
        assert_eq!(sample.kind, Kind::User);
        assert_eq!(parse_stat("", PAGE), None);
        assert_eq!(parse_stat("1 (x) S 1", PAGE), None);
    }

    #[test]
    fn what_has_no_address_space_is_told_apart() {
        let kind = |text: String| parse_stat(&text, PAGE).map(|sample| sample.kind);
        assert_eq!(
            kind(stat("kworker", 'I', KERNEL_THREAD, 0)),
            Some(Kind::Kernel)
        );
        assert_eq!(kind(stat("x", 'Z', 0, 0)), Some(Kind::Zombie));
        // It is about to be one.
        assert_eq!(kind(stat("x", 'R', 0, 0)), Some(Kind::Zombie));
    }

    #[test]
    fn this_process_is_among_them() {
        let own = Pid(std::process::id());
        let page = crate::host::kernel::page_size();
        let all = look(page).expect("/proc is there");
        let sample = all
            .iter()
            .find(|sample| sample.pid == own)
            .expect("it runs");
        assert!(sample.vm_size > sample.rss && sample.rss > Bytes(0));
        let who = who(own, &Users::default());
        assert_eq!(who.uid, nix::unistd::geteuid().as_raw());
        assert!(who.exe.contains("tracer") && !who.is_32_bit);
        let rollup = rollup(own).expect("own figures");
        assert!(rollup.rss >= rollup.anonymous && rollup.anonymous > Bytes(0));
    }

    #[test]
    fn users_are_read_from_a_file() {
        let users = Users::parse("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\nbroken\n");
        assert_eq!(users.0.get(&0).map(String::as_str), Some("root"));
        assert_eq!(users.0.len(), 1);
    }

    #[test]
    fn rollups_are_sums() {
        let text = "55-7f ---p 00000000 00:00 0   [rollup]\nRss:    12 kB\nAnonymous:   8 kB\n\
                    LazyFree:    4 kB\nSwap:   0 kB\nSwapPss:   9 kB\n";
        let rollup = parse_rollup(text);
        assert_eq!(rollup.rss, Bytes(12 << 10));
        assert_eq!(rollup.lazy_free, Bytes(4 << 10));
        assert_eq!(rollup.swap, Bytes(0));
    }
}

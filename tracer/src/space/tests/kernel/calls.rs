//! The naive kernel's calls, one after the manual page of each.

use super::{Back, Kernel, Outcome, Page, WINDOW, When};
use crate::{
    event::Syscall,
    space::{
        piece::{Content, Origin, Prot, Provenance, SiteId, Traits},
        tests::{
            PAGE,
            ops::{Advice, Memory},
        },
    },
    units::Bytes,
};

const EPERM: Outcome = Err(1);
const ENOMEM: Outcome = Err(12);
const EFAULT: Outcome = Err(14);
const EINVAL: Outcome = Err(22);

impl Kernel {
    pub(super) fn new_page(&self, when: When, syscall: Syscall, len: u64, back: Back) -> Page {
        Page {
            prot: Prot::from_bits(3),
            shared: false,
            back,
            traits: Traits {
                locked: self.locks_future,
                ..Traits::default()
            },
            origin: Origin {
                how: Provenance::Call(syscall),
                site: SiteId(0),
                tid: when.tid,
                at: when.exited,
                mapped: Bytes(len * PAGE),
            },
            content: Content::Unknown,
            name: None,
        }
    }

    pub(super) fn new_file(&mut self) -> u32 {
        self.files += 1;
        self.files
    }

    pub(super) fn place_free(&mut self, len: u64, page: impl Fn(&Self) -> Page) -> Outcome {
        let Some(start) = self.find_free(WINDOW.start, len).filter(|_| len > 0) else {
            return ENOMEM;
        };
        let page = page(self);
        for at in start..start + len {
            self.insert(at, page.clone());
        }
        Ok(start * PAGE)
    }

    pub(super) fn mmap(
        &mut self,
        when: When,
        (hint, len, prot): (u64, u64, u64),
        memory: Memory,
        fixed: bool,
    ) -> Outcome {
        if len == 0 {
            return EINVAL;
        }
        let start = if fixed {
            Some(hint)
        } else {
            self.find_free(hint, len)
        };
        let Some(start) = start.filter(|start| start + len <= WINDOW.end) else {
            return ENOMEM;
        };
        let file = (!matches!(memory, Memory::Private | Memory::Stack)).then(|| self.new_file());
        for at in start..start + len {
            let back = match file {
                Some(file) => Back::File(file, memory.offset() + at - start),
                None => Back::Anonymous,
            };
            let mut page = self.new_page(when, Syscall::Mmap, len, back);
            page.prot = Prot::from_bits(prot);
            page.shared = matches!(memory, Memory::Shared | Memory::SharedFile(_));
            page.traits.stack = memory == Memory::Stack;
            page.traits.no_reserve = memory == Memory::Private;
            if page.is_anonymous() && prot == 0 {
                let old = self.pages.get(&at).filter(|old| old.is_anonymous());
                page.content = match old.map(|old| old.content) {
                    None => Content::NeverAccessible,
                    Some(Content::Unknown | Content::LazilyFreed { .. }) => {
                        Content::Overlaid { at: when.exited }
                    }
                    Some(content) => content,
                };
            }
            self.insert(at, page);
        }
        Ok(start * PAGE)
    }

    pub(super) fn move_brk(&mut self, when: When, wanted: u64) -> Outcome {
        let (old, new) = (self.brk.div_ceil(PAGE), wanted.div_ceil(PAGE));
        if wanted < WINDOW.start * PAGE || !(new <= old || self.free(old..new)) {
            return Ok(self.brk);
        }
        let page = self.new_page(when, Syscall::Brk, new.saturating_sub(old), Back::Heap);
        for at in old..new {
            self.insert(at, page.clone());
        }
        self.unmap(new..old);
        self.brk = wanted;
        Ok(wanted)
    }

    pub(super) fn mremap(
        &mut self,
        when: When,
        at: u64,
        (old, new): (u64, u64),
        to: Option<u64>,
        dontunmap: bool,
    ) -> Outcome {
        if new == 0 || (dontunmap && old != new) {
            return EINVAL;
        }
        if old == 0 {
            return self.double(when, at, new, to);
        }
        // Where nothing grows and nothing moves the kernel looks at the start alone.
        let is_cut = to.is_none() && !dontunmap && new <= old;
        if !self.mapped(at..at + if is_cut { 1 } else { old }) {
            return EFAULT;
        }
        let target = match to {
            Some(to) if to + new > WINDOW.end || (to < at + old && at < to + new) => {
                return EINVAL;
            }
            Some(to) => to,
            None if new <= old && !dontunmap => at,
            None if !dontunmap && self.free(at + old..at + new) => at,
            None => match self.find_free(WINDOW.start, new) {
                Some(free) => free,
                None => return ENOMEM,
            },
        };
        let call = self.new_page(when, Syscall::Mremap, new, Back::Anonymous);
        let moving: Vec<Page> = (at..at + old.min(new))
            .filter_map(|at| self.pages.get(&at).cloned())
            .collect();
        let last = moving.last().cloned();
        if target == at {
            self.unmap(at + new..at + old);
        } else {
            self.unmap(target..target + new);
            self.unmap(at + new.min(old)..at + old);
            for (n, page) in (0..).zip(moving) {
                if dontunmap {
                    let mut left = page.clone();
                    left.origin = call.origin;
                    left.traits.locked = false;
                    if left.is_anonymous() && !left.no_pages_possible() {
                        left.content = Content::Discarded { at: when.exited };
                    }
                    self.pages.remove(&(at + n));
                    self.insert(at + n, left);
                } else {
                    self.pages.remove(&(at + n));
                }
                self.pages.insert(target + n, page);
            }
        }
        for n in old..new {
            let Some(mut page) = last.clone() else { break };
            page.origin = call.origin;
            page.content = if page.is_anonymous() && page.prot.is_none() {
                Content::NeverAccessible
            } else {
                Content::Unknown
            };
            if let Back::File(_, offset) = &mut page.back {
                *offset += n + 1 - old;
            }
            self.insert(target + n, page);
        }
        Ok(target * PAGE)
    }

    /// `mremap` of length 0.
    pub(super) fn double(&mut self, when: When, at: u64, new: u64, to: Option<u64>) -> Outcome {
        let Some(page) = self.pages.get(&at).filter(|page| page.shared).cloned() else {
            return EINVAL;
        };
        let Some(target) = to.or_else(|| self.find_free(WINDOW.start, new)) else {
            return ENOMEM;
        };
        if target + new > WINDOW.end || (target..target + new).contains(&at) {
            return EINVAL;
        }
        for n in 0..new {
            let mut page = page.clone();
            page.origin = self
                .new_page(when, Syscall::Mremap, new, Back::Anonymous)
                .origin;
            page.content = Content::Unknown;
            if let Back::File(_, offset) = &mut page.back {
                *offset += n;
            }
            self.insert(target + n, page);
        }
        Ok(target * PAGE)
    }

    pub(super) fn mprotect(&mut self, range: std::ops::Range<u64>, prot: u64) -> Outcome {
        let prot = Prot::from_bits(prot);
        for at in range {
            let Some(page) = self.pages.get_mut(&at) else {
                return ENOMEM;
            };
            page.prot = prot;
            if !prot.is_none() && page.no_pages_possible() {
                page.content = Content::Unknown;
            }
        }
        Ok(0)
    }

    /// Changes the mapped pages of a range; tells of holes at the end.
    pub(super) fn each(
        &mut self,
        range: std::ops::Range<u64>,
        change: impl Fn(&mut Page),
    ) -> Outcome {
        let mut outcome = Ok(0);
        for at in range {
            match self.pages.get_mut(&at) {
                Some(page) => change(page),
                None => outcome = ENOMEM,
            }
        }
        outcome
    }

    pub(super) fn madvise(
        &mut self,
        when: When,
        range: std::ops::Range<u64>,
        advice: Advice,
    ) -> Outcome {
        let at = when.exited;
        self.each(range, |page| {
            let traits = &mut page.traits;
            match advice {
                Advice::DontFork => return traits.dont_fork = true,
                Advice::DoFork => return traits.dont_fork = false,
                Advice::WipeOnFork => return traits.wipe_on_fork = true,
                Advice::KeepOnFork => return traits.wipe_on_fork = false,
                Advice::HugePage => (traits.huge, traits.no_huge) = (true, false),
                Advice::NoHugePage => (traits.huge, traits.no_huge) = (false, true),
                Advice::DontDump => return traits.dont_dump = true,
                Advice::DoDump => return traits.dont_dump = false,
                _ => {}
            }
            if page.no_pages_possible() {
                return;
            }
            match advice {
                Advice::DontNeed | Advice::GuardInstall if page.is_anonymous() => {
                    page.content = Content::Discarded { at };
                }
                Advice::Free if page.is_anonymous() => page.content = Content::LazilyFreed { at },
                Advice::Remove => page.content = Content::Discarded { at },
                Advice::PopulateWrite => page.content = Content::Unknown,
                _ => {}
            }
        })
    }

    pub(super) fn attach(
        &mut self,
        when: When,
        syscall: Syscall,
        len: u64,
        write: bool,
    ) -> Outcome {
        let file = self.new_file();
        let placed = self.place_free(len, |kernel| {
            let mut page = kernel.new_page(when, syscall, len, Back::File(file, 0));
            page.shared = true;
            page.prot.write = write;
            page
        });
        if let Ok(start) = placed {
            for n in 0..len {
                if let Some(page) = self.pages.get_mut(&(start / PAGE + n)) {
                    page.back = Back::File(file, n);
                }
            }
        }
        placed
    }

    /// The first page must be the first of a segment that is still where it was attached.
    pub(super) fn detach(&mut self, at: u64) -> Outcome {
        let Some(&Page {
            back: Back::File(file, 0),
            origin:
                Origin {
                    how: Provenance::Call(Syscall::Shmat | Syscall::IoSetup),
                    mapped,
                    ..
                },
            ..
        }) = self.pages.get(&at)
        else {
            return EINVAL;
        };
        let is_own = |n: &u64| {
            let page = self.pages.get(&(at + n));
            page.is_some_and(|page| page.back == Back::File(file, *n))
        };
        let run = (0..).take_while(is_own).count() as u64;
        let own: Vec<u64> = (0..run.max(mapped.0 / PAGE)).filter(is_own).collect();
        for n in own {
            self.remove(at + n);
        }
        Ok(0)
    }

    pub(super) fn remap_file(&mut self, at: u64, len: u64, offset: u64) -> Outcome {
        let is_shared = |at| self.pages.get(&at).is_some_and(|page| page.shared);
        if !(at..at + len).all(is_shared) {
            return EINVAL;
        }
        for n in 0..len {
            if let Some(page) = self.pages.get_mut(&(at + n))
                && let Back::File(_, page_of_file) = &mut page.back
            {
                *page_of_file = offset + n;
            }
        }
        Ok(0)
    }

    pub(super) fn name(&mut self, range: std::ops::Range<u64>, name: Option<&str>) -> Outcome {
        let outcome = self.each(range, |page| {
            if page.is_anonymous() {
                page.name = name.map(str::to_owned);
            }
        });
        // This kernel has no names, but those given stay known.
        outcome.and(EINVAL)
    }

    pub(super) fn lock(&mut self, range: std::ops::Range<u64>, lock: bool) -> Outcome {
        if !self.mapped(range.clone()) {
            return EPERM;
        }
        self.each(range, |page| page.traits.locked = lock)
    }

    pub(super) fn lock_all(&mut self, flags: u64) {
        self.locks_future = flags & 2 != 0;
        if flags != 2 {
            for page in self.pages.values_mut() {
                page.traits.locked = flags & 1 != 0;
            }
        }
    }
}

//! What an event says, decoded once for both forms: an event in, ranges and names out.

use super::super::flags::{MADV, MAP, MCL, MREMAP, PROT, SHM};
use crate::{
    event::{Call, Request, Syscall},
    space::piece::Prot,
    units::{Addr, Bytes, Span},
};

/// A call in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The addresses it is about, where known.
    pub ranges: Vec<Span>,
    /// How many bytes it is about, where known.
    pub size: Option<Bytes>,
    /// Its flags by their full names.
    pub names: Vec<String>,
    /// Its flags and what else it asks for, for people.
    pub words: Vec<String>,
}

/// The call, decoded.
pub fn of(call: &Call) -> Facts {
    let placed = call.outcome.ok().map(Addr);
    match &call.request {
        Request::Map {
            len,
            prot,
            flags,
            fd,
            offset,
            file,
        } => {
            let mut facts = Facts::placed(placed, Some(Bytes(*len)));
            facts.protected(*prot);
            facts.flagged(MAP.names(*flags), MAP.words(*flags));
            let path = file.as_ref().and_then(|file| file.path.as_deref());
            facts.words.extend(fd.map(|fd| match path {
                Some(path) => format!("{path} at {offset:#x}"),
                None => format!("fd {fd} at {offset:#x}"),
            }));
            facts
        }
        Request::Unmap(span) => Facts::about(*span),
        Request::Brk { wanted, before } => brk(*wanted, *before, placed),
        Request::Remap {
            old,
            new_len,
            flags,
        } => {
            let mut facts = Facts::about(*old);
            facts.words.push(format!("to {}", Bytes(*new_len)));
            facts.flagged(MREMAP.names(*flags), MREMAP.words(*flags));
            facts
        }
        Request::Protect { span, prot } => {
            let mut facts = Facts::about(*span);
            facts.protected(*prot);
            facts
        }
        Request::Advise {
            target,
            spans,
            advice,
        } => Facts {
            ranges: spans.clone(),
            size: Some(spans.iter().map(|span| span.len()).sum()),
            names: MADV.names(*advice),
            words: MADV
                .names(*advice)
                .into_iter()
                .chain(target.map(|target| format!("of pidfd {}", target.0)))
                .collect(),
        },
        Request::Attach { id, flags, grown } => {
            let mut facts = Facts::placed(placed, *grown);
            facts.words.push(format!("segment {id}"));
            facts.flagged(SHM.names(*flags), SHM.words(*flags));
            facts
        }
        Request::Detach(addr) => Facts::said(format!("at {addr}")),
        Request::RemapFile { span, offset } => {
            let mut facts = Facts::about(*span);
            facts.words.push(format!("at {offset:#x}"));
            facts
        }
        Request::Name { span, name } => {
            let mut facts = Facts::about(*span);
            facts.words.push(match name {
                Some(name) => format!("name {name}"),
                None => "no name".to_owned(),
            });
            facts
        }
        Request::Lock { span, .. } => {
            let mut facts = Facts::about(*span);
            if call.syscall == Syscall::Mlock2 && call.args[2] & 1 != 0 {
                facts.flagged(vec!["MLOCK_ONFAULT".to_owned()], vec!["onfault".to_owned()]);
            }
            facts
        }
        Request::LockAll { flags } => {
            let mut facts = Facts::default();
            facts.flagged(MCL.names(*flags), MCL.words(*flags));
            facts
        }
        Request::RingSetup { ring, grown } => {
            let ring = call.outcome.ok().map(|_| *ring);
            Facts::placed(ring, *grown)
        }
        Request::RingDestroy(addr) => Facts::said(format!("at {addr}")),
        Request::ShadowStack { len } => Facts::placed(placed, Some(Bytes(*len))),
        Request::Task => Facts::default(),
    }
}

/// The part of the heap that came or went, and which of both.
fn brk(wanted: Addr, before: Option<Addr>, after: Option<Addr>) -> Facts {
    let (Some(before), Some(after)) = (before, after) else {
        return Facts::default();
    };
    let moved = Span::between(before.min(after), before.max(after));
    match after.cmp(&before) {
        // The call does not fail: it answers with the old end.
        std::cmp::Ordering::Equal if wanted == Addr(0) => Facts::said("asks".to_owned()),
        std::cmp::Ordering::Equal if wanted != after => Facts::said("refused".to_owned()),
        std::cmp::Ordering::Equal => Facts::said("stays".to_owned()),
        order => {
            let mut facts = Facts::about(moved);
            let grows = order == std::cmp::Ordering::Greater;
            facts
                .words
                .push(if grows { "grows" } else { "shrinks" }.to_owned());
            facts
        }
    }
}

impl Facts {
    fn about(span: Span) -> Self {
        Self {
            ranges: vec![span],
            size: Some(span.len()),
            ..Self::default()
        }
    }

    /// `size` bytes at the address that a call chose.
    fn placed(at: Option<Addr>, size: Option<Bytes>) -> Self {
        let range = at.zip(size).map(|(at, size)| Span::new(at, size.0));
        Self {
            ranges: range.into_iter().collect(),
            size,
            ..Self::default()
        }
    }

    fn said(word: String) -> Self {
        Self {
            words: vec![word],
            ..Self::default()
        }
    }

    fn flagged(&mut self, names: Vec<String>, words: Vec<String>) {
        self.names.extend(names);
        self.words.extend(words);
    }

    /// `rwx` as one word, further bits by name.
    fn protected(&mut self, prot: u64) {
        self.words.push(Prot::from_bits(prot).to_string());
        self.flagged(PROT.names(prot), PROT.words(prot & !7));
    }
}

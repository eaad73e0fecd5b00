//! What comes from the ring: a record in, an event or a stack out; and what an event tells of the
//! code of its process.

use crate::{
    event::{
        Event, EventKind, Request, StackSlice,
        decode::{self, DecodeError},
        stack,
    },
    space::piece::Prot,
    units::{Addr, PageSize, Span},
    world::{CodeFile, CodeNews},
};

/// What comes from the ring.
pub enum News {
    /// What a process did.
    Event(Event),
    /// The stack of a call to come.
    Stack(StackSlice),
}

impl News {
    /// Decodes a record, whichever it is.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(record: &[u8], page: PageSize) -> Result<Self, DecodeError> {
        match stack::decode(record) {
            Some(stack) => stack.map(Self::Stack),
            None => decode::decode(record, page).map(Self::Event),
        }
    }
}

/// What an event tells of the code of its process.
pub fn of_code(event: &Event) -> Option<CodeNews> {
    let EventKind::Call(call) = &event.kind else {
        return matches!(event.kind, EventKind::Exec { .. }).then_some(CodeNews::Executed);
    };
    let result = Addr(call.outcome.ok()?);
    match &call.request {
        Request::Protect { span, prot } => is_code(*prot).then_some(CodeNews::Made(*span)),
        Request::Map {
            len,
            prot,
            offset,
            fd,
            file,
            ..
        } if is_code(*prot) => {
            let span = Span::new(result, *len);
            if fd.is_none() {
                return Some(CodeNews::Made(span));
            }
            let seen = file.as_deref().and_then(|seen| {
                Some(CodeNews::Mapped {
                    span,
                    offset: *offset,
                    file: CodeFile {
                        path: seen.path.clone()?,
                        inode: seen.inode,
                    },
                })
            });
            Some(seen.unwrap_or(CodeNews::Unknown))
        }
        _ => None,
    }
}

fn is_code(prot: u64) -> bool {
    Prot::from_bits(prot).exec
}

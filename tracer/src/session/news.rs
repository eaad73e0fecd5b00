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
    let start = Addr(call.outcome.ok()?);
    let Request::Map {
        len,
        prot,
        offset,
        fd: Some(_),
        file,
        ..
    } = &call.request
    else {
        return None;
    };
    if !Prot::from_bits(*prot).exec {
        return None;
    }
    let seen = file.as_deref().and_then(|seen| {
        Some(CodeNews::Mapped {
            span: Span::new(start, *len),
            offset: *offset,
            file: CodeFile {
                path: seen.path.clone()?,
                inode: seen.inode,
            },
        })
    });
    Some(seen.unwrap_or(CodeNews::Unknown))
}

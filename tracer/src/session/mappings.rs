//! Pieces with their owners in, lines of the final map out.

use crate::{
    attribute::Owner,
    report::Mapping,
    space::{
        Space,
        piece::{Backing, Content, Piece},
    },
    units::{Bytes, Span},
};

/// The final map: adjacent pieces of equal perms, backing and owner joined. `names_memory`:
/// whether this kernel shows `PR_SET_VMA` names.
pub fn lines(space: &Space, owners: &[(Span, Owner)], names_memory: bool) -> Vec<Mapping> {
    let mut lines: Vec<Mapping> = Vec::new();
    let mut owners = owners.iter().peekable();
    let mut last_bias = None;
    for (span, piece) in space.pieces() {
        while owners
            .next_if(|(owned, _)| owned.end <= span.start)
            .is_some()
        {}
        let owner = owners
            .peek()
            .filter(|(owned, _)| owned.contains(span.start))
            .map_or(Owner::UNKNOWN, |(_, owner)| owner.clone());
        let line = Mapping {
            span,
            prot: piece.prot,
            shared: piece.shared,
            kind: kind(space, piece),
            owner,
            name: name(space, piece, names_memory),
        };
        let bias = match piece.backing {
            Backing::File { bias, .. } => Some(bias),
            _ => None,
        };
        match lines.last_mut() {
            Some(last) if continues(last, &line) && bias == last_bias => last.span.end = span.end,
            _ => lines.push(line),
        }
        last_bias = bias;
    }
    lines
}

/// Bytes given back whose address space is still there.
pub fn retained(space: &Space) -> Bytes {
    let given_back = |piece: &Piece| {
        matches!(
            piece.content,
            Content::Discarded { .. } | Content::Overlaid { .. }
        )
    };
    space
        .pieces()
        .filter(|(_, piece)| given_back(piece))
        .map(|(span, _)| span.len())
        .sum()
}

fn continues(last: &Mapping, line: &Mapping) -> bool {
    last.span.end == line.span.start
        && last.prot == line.prot
        && last.shared == line.shared
        && last.kind == line.kind
        && last.owner == line.owner
        && last.name == line.name
}

/// Names under which the kernel shows files that are memory (`mm/shmem.c`, `ipc/shm.c`).
const SHARED_MEMORY: [&str; 4] = ["/dev/zero", "/SYSV", "/memfd:", "[anon_shmem:"];

fn kind(space: &Space, piece: &Piece) -> &'static str {
    match piece.backing {
        Backing::Anonymous => "anonymous",
        Backing::Heap => "heap",
        Backing::Stack => "stack",
        Backing::File { file, .. } => {
            let name = space.names().file(file).name.as_deref().unwrap_or_default();
            let memory = SHARED_MEMORY.iter().any(|prefix| name.starts_with(prefix));
            if memory { "shared-memory" } else { "file" }
        }
        Backing::Special(_) => "special",
    }
}

fn name(space: &Space, piece: &Piece, names_memory: bool) -> String {
    match piece.backing {
        Backing::Heap => "[heap]".to_owned(),
        Backing::Stack => "[stack]".to_owned(),
        Backing::File { file, .. } | Backing::Special(file) => {
            space.names().file(file).name.clone().unwrap_or_default()
        }
        Backing::Anonymous => match piece.name {
            Some(name) if names_memory => format!("[anon:{}]", space.names().name(name)),
            _ => String::new(),
        },
    }
}

//! The kernel's lines in the model's terms: what a line says, and whether a piece agrees.

use super::{
    names::Names,
    piece::{Backing, Content, Piece},
    vma::Vma,
};
use crate::units::Span;

/// What the last columns of a line say of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Of no file, perhaps with a `PR_SET_VMA` name.
    Anonymous(Option<&'a str>),
    /// `[heap]`.
    Heap,
    /// `[stack]`.
    Stack,
    /// A file, or shared memory, which the kernel backs by one.
    File,
    /// A file that this model could not name.
    UnnamedFile,
    /// `[vdso]`, `[vvar]` and the like.
    Special,
    /// `[vsyscall]`: shown for every process, part of none.
    Gate,
}

impl<'a> Line<'a> {
    pub(super) fn of(vma: &'a Vma) -> Self {
        // `[anon_shmem:…]` has an inode: it is a file with a name of its own.
        if vma.inode != 0 {
            return Self::File;
        }
        match vma.name.as_str() {
            "" => Self::Anonymous(None),
            "[heap]" => Self::Heap,
            "[stack]" => Self::Stack,
            "[vsyscall]" => Self::Gate,
            Vma::UNNAMED_FILE => Self::UnnamedFile,
            name if let Some(name) = name.strip_prefix("[anon:") => {
                Self::Anonymous(Some(name.strip_suffix(']').unwrap_or(name)))
            }
            name if name.starts_with('[') => Self::Special,
            _ => Self::File,
        }
    }

    pub(super) const fn is_file(self) -> bool {
        matches!(self, Self::File | Self::UnnamedFile)
    }
}

impl Names {
    /// Whether a piece and a line that both cover some bytes say the same of them.
    ///
    /// Anonymous memory is anonymous memory: the kernel may merge a neighbour into the
    /// line it calls `[heap]`.
    pub(super) fn agree(&self, piece: &Piece, vma: &Vma) -> bool {
        if piece.prot != vma.prot || piece.shared != vma.shared {
            return false;
        }
        let line = Line::of(vma);
        match piece.backing {
            Backing::Anonymous | Backing::Heap | Backing::Stack => {
                matches!(line, Line::Anonymous(_) | Line::Heap | Line::Stack)
            }
            Backing::File { file, bias } => {
                bias == bias_of(vma)
                    && (line == Line::UnnamedFile || (line == Line::File && self.may_be(file, vma)))
            }
            Backing::Special(file) => {
                line == Line::Special && self.file(file).name.as_ref() == Some(&vma.name)
            }
        }
    }

    /// What lies behind a piece, after a look at the line that shows it.
    pub(super) fn learn_backing(&mut self, piece: &Piece, vma: &Vma) -> Backing {
        match piece.backing {
            Backing::File { file, bias } if Line::of(vma) == Line::File => Backing::File {
                file: self.learn(file, vma),
                bias,
            },
            other => other,
        }
    }

    /// What a line says lies behind its bytes.
    pub(super) fn backing(&mut self, vma: &Vma) -> Backing {
        match Line::of(vma) {
            Line::Heap => Backing::Heap,
            Line::Stack => Backing::Stack,
            Line::File => Backing::File {
                file: self.file_of(vma),
                bias: bias_of(vma),
            },
            Line::UnnamedFile => Backing::File {
                file: self.unnamed_file(),
                bias: bias_of(vma),
            },
            Line::Special => Backing::Special(self.file_of(vma)),
            Line::Anonymous(_) | Line::Gate => Backing::Anonymous,
        }
    }

    /// A piece as the kernel would show it.
    pub(super) fn vma(&self, span: Span, piece: &Piece) -> Vma {
        let anonymous = |name: &str| (0, 0, 0, name.to_owned());
        let of_file = |file, offset| {
            let file = self.file(file);
            let name = file.name.as_deref().unwrap_or(Vma::UNNAMED_FILE);
            (offset, file.device, file.inode, name.to_owned())
        };
        let (offset, device, inode, name) = match piece.backing {
            Backing::Anonymous => match piece.name {
                Some(name) => anonymous(&format!("[anon:{}]", self.name(name))),
                None => anonymous(""),
            },
            Backing::Heap => anonymous("[heap]"),
            Backing::Stack => anonymous("[stack]"),
            Backing::File { file, bias } => of_file(file, span.start.0.wrapping_add(bias)),
            Backing::Special(file) => of_file(file, 0),
        };
        Vma {
            span,
            prot: piece.prot,
            shared: piece.shared,
            offset,
            device,
            inode,
            name,
        }
    }
}

/// What calls would have told of bytes that are only known by a line.
pub(super) fn content_of(vma: &Vma) -> Content {
    // Whatever they may have held before, no page of theirs can be reached: the safe
    // assumption for private memory without access is that it is a reservation.
    if vma.prot.is_none() && !vma.shared && !Line::of(vma).is_file() {
        Content::NeverAccessible
    } else {
        Content::Unknown
    }
}

/// Offset minus address, as [`Backing::File`] keeps it.
pub(super) fn bias_of(vma: &Vma) -> u64 {
    vma.offset.wrapping_sub(vma.span.start.0)
}

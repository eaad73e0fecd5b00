//! The kernel's types: BTF bytes in, member offsets out.
//!
//! Only what finding members needs: names, sizes and members of structures. The format is
//! that of the kernel's `Documentation/bpf/btf.rst`. (aya reads BTF too, but keeps members
//! to itself.) Broken bytes give errors, never a panic.

use std::ops::Range;

use anyhow::{Context as _, Result, bail};

const MAGIC: u16 = 0xeb9f;

/// Where a member lies and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Bytes from the start of the outer structure.
    pub offset: u32,
    type_id: u32,
}

/// The types of a kernel: its bytes and where each type lies in them. Of the hundred thousands of
/// names some dozens are asked for, so none is taken out before.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    strings: Range<usize>,
    types: Vec<Type>,
}

#[derive(Clone, Copy, Debug)]
enum Type {
    /// With the place of its name and of its members, and how many there are.
    Aggregate {
        name: u32,
        size: u32,
        members: u32,
        count: u16,
        has_bitfields: bool,
    },
    Sized(u32),
    Array {
        element: u32,
    },
    Alias(u32),
    /// With the place of its name.
    Function(u32),
    Other,
}

/// Bytes of a member: its name, its type, its place.
const MEMBER: usize = 12;

impl Btf {
    /// Takes the bytes of `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    /// The bytes are not BTF of this machine's byte order, or are cut short.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let header = Reader {
            bytes: &bytes,
            at: 0,
        };
        if header.u16_at(0)? != MAGIC {
            bail!("the kernel's BTF does not begin with BTF's magic number");
        }
        let start = header.u32_at(4)? as usize;
        let section = |offset: usize, len: usize| {
            let from = start.checked_add(header.u32_at(offset)? as usize);
            let len = header.u32_at(len)? as usize;
            from.and_then(|from| Some(from..from.checked_add(len)?))
                .filter(|range| range.end <= bytes.len())
                .context("the kernel's BTF is cut short")
        };
        let (types, strings) = (section(8, 12)?, section(16, 20)?);
        let mut reader = Reader {
            bytes: bytes.get(..types.end).unwrap_or_default(),
            at: types.start,
        };
        let mut found = vec![Type::Other];
        while reader.at < types.end {
            found.push(read_type(&mut reader)?);
        }
        found.shrink_to_fit();
        Ok(Self {
            bytes,
            strings,
            types: found,
        })
    }

    /// A member of a structure by name, looked for in its anonymous parts too.
    ///
    /// # Errors
    /// There is no such structure, or no such member.
    pub fn member(&self, structure: &str, member: &str) -> Result<Member> {
        let id = self
            .structure(structure)
            .with_context(|| format!("the kernel's BTF has no struct {structure}"))?;
        self.find(id, member, 8)
            .with_context(|| format!("the kernel's struct {structure} has no member {member}"))
    }

    /// Where a member of a structure lies, bytes from its start.
    ///
    /// # Errors
    /// Those of [`Btf::member`].
    pub fn offset(&self, structure: &str, member: &str) -> Result<u32> {
        self.member(structure, member).map(|found| found.offset)
    }

    /// A member of the structure that `outer` is, or is an array of.
    ///
    /// # Errors
    /// `outer` is no structure or has no such member.
    pub fn inner(&self, outer: Member, member: &str) -> Result<Member> {
        let id = match self.resolve(outer.type_id) {
            (_, Type::Array { element }) => *element,
            (id, _) => id,
        };
        self.find(id, member, 8)
            .with_context(|| format!("the kernel's BTF has no inner member {member}"))
    }

    /// If `member` is an array, the size of one element in bytes.
    #[must_use]
    pub fn element_size(&self, member: Member) -> Option<u32> {
        let (_, Type::Array { element }) = self.resolve(member.type_id) else {
            return None;
        };
        match self.resolve(*element) {
            (_, Type::Aggregate { size, .. } | Type::Sized(size)) => Some(*size),
            _ => None,
        }
    }

    /// The number of the first structure of a name that has members.
    #[must_use]
    pub fn structure(&self, wanted: &str) -> Option<u32> {
        self.position(|found| match found {
            Type::Aggregate { name, count, .. } => *count > 0 && self.is_named(*name, wanted),
            _ => false,
        })
    }

    /// The number of the first function of a name.
    #[must_use]
    pub fn function(&self, wanted: &str) -> Option<u32> {
        self.position(|found| match found {
            Type::Function(name) => self.is_named(*name, wanted),
            _ => false,
        })
    }

    fn position(&self, is_wanted: impl Fn(&Type) -> bool) -> Option<u32> {
        let at = self.types.iter().position(is_wanted);
        at.and_then(|at| u32::try_from(at).ok())
    }

    fn find(&self, id: u32, name: &str, depth: u32) -> Option<Member> {
        let direct = self.members(id).find(|(at, _)| self.is_named(*at, name));
        direct.map(|(_, member)| member).or_else(|| {
            let anonymous = self.members(id).filter(|(at, _)| self.is_named(*at, ""));
            anonymous.filter(|_| depth > 0).find_map(|(_, outer)| {
                let inner = self.find(outer.type_id, name, depth - 1)?;
                Some(Member {
                    offset: outer.offset.checked_add(inner.offset)?,
                    ..inner
                })
            })
        })
    }

    /// The members of a structure, each with the place of its name.
    fn members(&self, id: u32) -> impl Iterator<Item = (u32, Member)> {
        let (from, count, has_bitfields) = match self.resolve(id) {
            (
                _,
                Type::Aggregate {
                    members,
                    count,
                    has_bitfields,
                    ..
                },
            ) => (*members as usize, usize::from(*count), *has_bitfields),
            _ => (0, 0, false),
        };
        let reader = Reader {
            bytes: &self.bytes,
            at: from,
        };
        (0..count).map_while(move |index| {
            let at = from + index * MEMBER;
            let bits = reader.u32_at(at + 8).ok()?;
            let bits = if has_bitfields {
                bits & 0xff_ffff
            } else {
                bits
            };
            let member = Member {
                offset: bits / 8,
                type_id: reader.u32_at(at + 4).ok()?,
            };
            Some((reader.u32_at(at).ok()?, member))
        })
    }

    /// Whether the name at a place of the strings is this one.
    fn is_named(&self, at: u32, name: &str) -> bool {
        let strings = self.bytes.get(self.strings.clone()).unwrap_or_default();
        let rest = strings.get(at as usize..).unwrap_or_default();
        match rest.strip_prefix(name.as_bytes()) {
            Some(rest) => rest.first().is_none_or(|next| *next == 0),
            None => false,
        }
    }

    fn resolve(&self, mut id: u32) -> (u32, &Type) {
        for _ in 0..16 {
            match self.types.get(id as usize) {
                Some(Type::Alias(target)) => id = *target,
                Some(found) => return (id, found),
                None => break,
            }
        }
        (0, &Type::Other)
    }
}

fn read_type(reader: &mut Reader<'_>) -> Result<Type> {
    let name = reader.u32()?;
    let info = reader.u32()?;
    let size_or_type = reader.u32()?;
    let (len, has_bitfields) = (info & 0xffff, info >> 31 != 0);
    Ok(match (info >> 24) & 0x1f {
        4 | 5 => {
            let members = u32::try_from(reader.at)?;
            reader.skip(MEMBER * len as usize);
            Type::Aggregate {
                name,
                size: size_or_type,
                members,
                count: u16::try_from(len)?,
                has_bitfields,
            }
        }
        1 => {
            reader.skip(4);
            Type::Sized(size_or_type)
        }
        2 => Type::Sized(8),
        3 => {
            let element = reader.u32()?;
            reader.skip(8);
            Type::Array { element }
        }
        6 => {
            reader.skip(8 * len as usize);
            Type::Sized(size_or_type)
        }
        // typedef, volatile, const, restrict, type tag
        8..=11 | 18 => Type::Alias(size_or_type),
        13 => {
            reader.skip(8 * len as usize);
            Type::Other
        }
        14 | 17 => {
            reader.skip(4);
            Type::Other
        }
        15 | 19 => {
            reader.skip(12 * len as usize);
            Type::Other
        }
        12 => Type::Function(name),
        7 | 16 => Type::Other,
        kind => bail!("the kernel's BTF holds types of kind {kind}, which is unknown"),
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn u32(&mut self) -> Result<u32> {
        let value = self.u32_at(self.at)?;
        self.at += 4;
        Ok(value)
    }

    const fn skip(&mut self, len: usize) {
        self.at = self.at.saturating_add(len);
    }

    fn u32_at(&self, at: usize) -> Result<u32> {
        let bytes = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
        Ok(u32::from_ne_bytes(
            *bytes.context("the kernel's BTF is cut short")?,
        ))
    }

    fn u16_at(&self, at: usize) -> Result<u16> {
        let bytes = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
        Ok(u16::from_ne_bytes(
            *bytes.context("the kernel's BTF is cut short")?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn this_kernels_structures_are_found() {
        let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else {
            return; // a kernel without BTF has nothing to compare with
        };
        let btf = Btf::parse(bytes).expect("the kernel's BTF");
        let total = btf.member("mm_struct", "total_vm").expect("total_vm");
        let stack = btf.member("mm_struct", "stack_vm").expect("stack_vm");
        assert!(total.offset > 0 && stack.offset > total.offset);
        assert!(btf.member("mm_struct", "no_such_member").is_err());
        assert!(btf.member("no_such_struct", "x").is_err());
        assert!(btf.structure("mm_struct").is_some() && btf.function("mm_struct").is_none());
        assert!(btf.function("do_mmap").is_some() && btf.structure("do_mmap").is_none());
    }

    proptest! {
        #[test]
        fn broken_bytes_are_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if bytes.len() > 24 {
                bytes[..2].copy_from_slice(&MAGIC.to_ne_bytes());
                bytes[4..8].copy_from_slice(&24u32.to_ne_bytes());
                bytes[8..12].copy_from_slice(&0u32.to_ne_bytes());
            }
            let _ = Btf::parse(bytes);
        }
    }
}

//! The kernel's types: BTF bytes in, member offsets out.
//!
//! Only what finding members needs: names, sizes and members of structures. The format is
//! that of the kernel's `Documentation/bpf/btf.rst`. (aya reads BTF too, but keeps members
//! to itself.) Broken bytes give errors, never a panic.

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail};

const MAGIC: u16 = 0xeb9f;

/// Where a member lies and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Bytes from the start of the outer structure.
    pub offset: u32,
    type_id: u32,
}

/// The types of a kernel.
#[derive(Debug)]
pub struct Btf {
    types: Vec<Type>,
    structs: HashMap<String, u32>,
}

#[derive(Debug)]
enum Type {
    Aggregate {
        size: u32,
        members: Vec<(String, Member)>,
    },
    Sized(u32),
    Array {
        element: u32,
    },
    Alias(u32),
    Other,
}

impl Btf {
    /// Reads the types from the bytes of `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    /// The bytes are not BTF of this machine's byte order, or are cut short.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let header = Reader { bytes, at: 0 };
        if header.u16_at(0)? != MAGIC {
            bail!("the kernel's BTF does not begin with BTF's magic number");
        }
        let start = header.u32_at(4)? as usize;
        let section = |offset: usize, len: usize| {
            let from = start.checked_add(header.u32_at(offset)? as usize);
            let len = header.u32_at(len)? as usize;
            from.and_then(|from| bytes.get(from..from.checked_add(len)?))
                .context("the kernel's BTF is cut short")
        };
        let types = section(8, 12)?;
        let strings = section(16, 20)?;
        let mut btf = Self {
            types: vec![Type::Other],
            structs: HashMap::new(),
        };
        let mut reader = Reader {
            bytes: types,
            at: 0,
        };
        while reader.at < types.len() {
            btf.read_type(&mut reader, strings)?;
        }
        Ok(btf)
    }

    fn read_type(&mut self, reader: &mut Reader<'_>, strings: &[u8]) -> Result<()> {
        let name = text(strings, reader.u32()?);
        let info = reader.u32()?;
        let size_or_type = reader.u32()?;
        let (len, bitfields) = (info & 0xffff, info >> 31 != 0);
        let entry = match (info >> 24) & 0x1f {
            4 | 5 => {
                let mut members = Vec::new();
                for _ in 0..len {
                    let member = text(strings, reader.u32()?);
                    let type_id = reader.u32()?;
                    let bits = reader.u32()?;
                    let bits = if bitfields { bits & 0xff_ffff } else { bits };
                    members.push((
                        member.to_owned(),
                        Member {
                            offset: bits / 8,
                            type_id,
                        },
                    ));
                }
                if !name.is_empty() && len > 0 {
                    let id = u32::try_from(self.types.len())?;
                    self.structs.entry(name.to_owned()).or_insert(id);
                }
                Type::Aggregate {
                    size: size_or_type,
                    members,
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
            7 | 12 | 16 => Type::Other,
            kind => bail!("the kernel's BTF holds types of kind {kind}, which is unknown"),
        };
        self.types.push(entry);
        Ok(())
    }

    /// A member of a structure by name, looked for in its anonymous parts too.
    ///
    /// # Errors
    /// There is no such structure, or no such member.
    pub fn member(&self, structure: &str, member: &str) -> Result<Member> {
        let id = *self
            .structs
            .get(structure)
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

    fn find(&self, id: u32, name: &str, depth: u32) -> Option<Member> {
        let (_, Type::Aggregate { members, .. }) = self.resolve(id) else {
            return None;
        };
        let direct = members.iter().find(|(member, _)| member == name);
        direct.map(|(_, member)| *member).or_else(|| {
            let anonymous = members.iter().filter(|(member, _)| member.is_empty());
            anonymous.filter(|_| depth > 0).find_map(|(_, outer)| {
                let inner = self.find(outer.type_id, name, depth - 1)?;
                Some(Member {
                    offset: outer.offset + inner.offset,
                    ..inner
                })
            })
        })
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

fn text(strings: &[u8], offset: u32) -> &str {
    let rest = strings.get(offset as usize..).unwrap_or_default();
    let name = rest.split(|&byte| byte == 0).next().unwrap_or_default();
    std::str::from_utf8(name).unwrap_or_default()
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
        let btf = Btf::parse(&bytes).expect("the kernel's BTF");
        let total = btf.member("mm_struct", "total_vm").expect("total_vm");
        let stack = btf.member("mm_struct", "stack_vm").expect("stack_vm");
        assert!(total.offset > 0 && stack.offset > total.offset);
        assert!(btf.member("mm_struct", "no_such_member").is_err());
        assert!(btf.member("no_such_struct", "x").is_err());
    }

    proptest! {
        #[test]
        fn broken_bytes_are_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if bytes.len() > 24 {
                bytes[..2].copy_from_slice(&MAGIC.to_ne_bytes());
                bytes[4..8].copy_from_slice(&24u32.to_ne_bytes());
                bytes[8..12].copy_from_slice(&0u32.to_ne_bytes());
            }
            let _ = Btf::parse(&bytes);
        }
    }
}

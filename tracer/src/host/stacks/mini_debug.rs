//! `.gnu_debugdata`, also called MiniDebugInfo: an object file in, the file that is packed into it
//! out, with the symbols that were stripped from it. Fedora's packages have it.

use std::{fs::File, io::BufReader};

use object::{Object as _, ObjectSection as _, ReadCache};

use super::{compressed, private_copy};
use crate::host::foreign::Bounded;

/// Read of the outer file: headers, dynamic symbols and the packed file.
const MOST_READ: u64 = 32 << 20;
/// Of the packed file. Those of the largest programs have some MiB.
const MOST_UNPACKED: usize = 64 << 20;

/// A copy of what is packed into a file, if something is.
pub fn unpack(file: &File) -> Option<File> {
    let bounded = Bounded::new(file.try_clone().ok()?, MOST_READ);
    let cache = ReadCache::new(BufReader::new(bounded));
    let elf = object::File::parse(&cache).ok()?;
    let section = elf.section_by_name(".gnu_debugdata")?;
    let packed = section.data().ok().filter(|packed| !packed.is_empty())?;
    let unpacked = compressed::unpack_xz(packed.to_vec(), MOST_UNPACKED).ok()?;
    private_copy::of_bytes(&unpacked).ok()
}

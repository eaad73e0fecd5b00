//! The code that the kernel puts into every process (`[vdso]`): the memory of this process in, an
//! object file out.
//!
//! It is in no file. All 64-bit processes of a host run the same image, so that of this process
//! stands for all, and nothing of a stranger's memory is read for it.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::{host::maps, units::Pid};

/// How it is called in a map. No file can be: the paths of files begin with `/`.
pub const NAME: &str = "[vdso]";
/// The largest that is taken. They have some pages.
const MOST: u64 = 1 << 20;

/// A file with the image in it.
///
/// # Errors
/// This process has none, or may not read its own memory.
pub fn image() -> io::Result<File> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "this process has none");
    let vmas = maps::read_maps(Pid(std::process::id())).map_err(io::Error::other)?;
    let vdso = vmas.iter().find(|vma| vma.name == NAME && vma.prot.exec);
    let span = vdso.ok_or_else(none)?.span;
    let Some(len) = span
        .len()
        .0
        .try_into()
        .ok()
        .filter(|_| span.len().0 <= MOST)
    else {
        return Err(io::Error::other("is larger than 1 MiB"));
    };
    let mut bytes = vec![0; len];
    File::open("/proc/self/mem")?.read_exact_at(&mut bytes, span.start.0)?;
    let image = File::from(memfd_create("tracer-vdso", MFdFlags::MFD_CLOEXEC)?);
    image.write_all_at(&bytes, 0)?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use object::Object as _;

    use super::*;

    #[test]
    fn it_is_an_object_file_that_tells_the_time() {
        let cache = object::ReadCache::new(image().expect("this process has one"));
        let elf = object::File::parse(&cache).expect("an object file");
        let names = elf.exports().expect("it has symbols");
        let tells = |name: &[u8]| {
            let name = String::from_utf8_lossy(name).into_owned();
            name.starts_with("__") && name.contains("clock_gettime")
        };
        assert!(names.iter().any(|export| tells(export.name())));
    }
}

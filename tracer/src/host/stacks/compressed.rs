//! Compressed parts of object files: a stream and what is claimed of it in, bytes out; never more
//! than there is room for, whatever is claimed.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufReader, Read},
    num::NonZeroUsize,
    os::unix::fs::FileExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
};

use flate2::read::ZlibDecoder;
use object::{
    CompressionFormat, Endianness, FileKind, ObjectSection, ReadCache, ReadRef,
    elf::{ELFCOMPRESS_ZLIB, FileHeader32, FileHeader64},
    read::elf::{CompressionHeader as _, FileHeader, SectionHeader as _},
};
use xz4rust::{XzDecoder, XzReader};

use crate::host::foreign::Bounded;

/// Read of a file to find its sections: headers.
const MOST_READ: u64 = 16 << 20;
/// The dictionary that an xz stream may want: that of `xz -9`.
const MOST_DICTIONARY: usize = 64 << 20;
/// Given to a decoder at a time.
const PIECE: NonZeroUsize = NonZeroUsize::new(64 << 10).expect("it is not zero");

/// The content of a section, inflated, if it has no more than `most` bytes.
pub fn data<'data>(section: &impl ObjectSection<'data>, most: usize) -> Option<Cow<'data, [u8]>> {
    let range = section.compressed_file_range().ok()?;
    let fits = |len: u64| usize::try_from(len).is_ok_and(|len| len <= most);
    if !fits(range.uncompressed_size) || !fits(range.compressed_size) {
        return None;
    }
    let data = section.compressed_data().ok()?;
    match data.format {
        CompressionFormat::None => Some(Cow::Borrowed(data.data)),
        CompressionFormat::Zlib => {
            let inflated = up_to(ZlibDecoder::new(data.data), most).ok()?;
            let is_so = inflated.len() as u64 == range.uncompressed_size;
            is_so.then_some(Cow::Owned(inflated))
        }
        _ => None,
    }
}

/// Inflates what `xz` compressed, if it has no more than `most` bytes.
///
/// # Errors
/// It has more, or wants a larger dictionary, or is broken.
pub fn unpack_xz(packed: Vec<u8>, most: usize) -> io::Result<Vec<u8>> {
    let unpack = AssertUnwindSafe(|| {
        let decoder = XzDecoder::in_heap_with_alloc_dict_size(0, MOST_DICTIONARY);
        let packed = io::Cursor::new(packed);
        let reader = XzReader::new_with_buffer_size_and_decoder(packed, PIECE, decoder);
        up_to(reader, most)
    });
    // What is broken in a way that nobody thought of is no archive.
    let broken = |_| Err(io::Error::other("is broken"));
    catch_unwind(unpack).unwrap_or_else(broken)
}

/// All of a stream. Room is made for what is there, not for what is claimed.
fn up_to(stream: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    stream.take(most as u64 + 1).read_to_end(&mut all)?;
    if all.len() > most {
        return Err(io::Error::other("is larger than it may be"));
    }
    Ok(all)
}

/// Makes sure that the compressed sections of an ELF file have no more than `most` bytes together,
/// nor more than they claim: for readers that trust such claims.
///
/// # Errors
/// They have, or it is no such file.
pub fn check(file: &File, most: u64) -> io::Result<()> {
    let bounded = Bounded::new(file.try_clone()?, MOST_READ);
    let cache = ReadCache::new(BufReader::new(bounded));
    let sections = match FileKind::parse(&cache).map_err(io::Error::other)? {
        FileKind::Elf32 => compressed::<FileHeader32<Endianness>>(&cache),
        FileKind::Elf64 => compressed::<FileHeader64<Endianness>>(&cache),
        _ => return Err(io::Error::other("is no ELF file")),
    };
    let mut left = most;
    for section in sections.map_err(io::Error::other)? {
        let too_much = || io::Error::other("inflates to too much");
        left = left.checked_sub(section.claimed).ok_or_else(too_much)?;
        if section.is_zlib {
            let part = BufReader::new(Part::new(file, &section));
            let mut some = ZlibDecoder::new(part).take(section.claimed.saturating_add(1));
            // A broken stream breaks for whoever reads it, no later than here.
            let len = io::copy(&mut some, &mut io::sink()).unwrap_or(0);
            if len > section.claimed {
                return Err(too_much());
            }
        }
    }
    Ok(())
}

/// A compressed section, by its header.
struct Compressed {
    is_zlib: bool,
    /// Bytes that it would inflate to.
    claimed: u64,
    offset: u64,
    len: u64,
}

fn compressed<'data, Elf: FileHeader<Endian = Endianness>>(
    data: impl ReadRef<'data>,
) -> object::Result<Vec<Compressed>> {
    let header = Elf::parse(data)?;
    let endian = header.endian()?;
    let mut all = Vec::new();
    for section in header.section_headers(endian, data)? {
        if let Some((header, offset, len)) = section.compression(endian, data)? {
            all.push(Compressed {
                is_zlib: header.ch_type(endian) == ELFCOMPRESS_ZLIB,
                claimed: header.ch_size(endian).into(),
                offset,
                len,
            });
        }
    }
    Ok(all)
}

/// A part of a file, from its front on.
struct Part<'file> {
    file: &'file File,
    at: u64,
    left: u64,
}

impl<'file> Part<'file> {
    const fn new(file: &'file File, section: &Compressed) -> Self {
        Self {
            file,
            at: section.offset,
            left: section.len,
        }
    }
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        let len = buffer.len().min(room);
        let buffer = buffer.get_mut(..len).unwrap_or_default();
        let read = self.file.read_at(buffer, self.at)?;
        self.at = self.at.saturating_add(read as u64);
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::ZlibEncoder};
    use object::Object as _;

    use super::*;

    /// An object file with one compressed section of zeros, which claims `claimed` bytes.
    fn object_file(real: usize, claimed: u64) -> Vec<u8> {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(&vec![0; real]).expect("memory takes all");
        let zlib = zlib.finish().expect("memory takes all");
        let names = b"\0.debug_frame\0.shstrtab\0";
        let mut section = Vec::new();
        section.extend(1_u64.to_le_bytes()); // ELFCOMPRESS_ZLIB and padding
        section.extend(claimed.to_le_bytes());
        section.extend(8_u64.to_le_bytes());
        section.extend(&zlib);
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend([3, 0, 62, 0, 1, 0, 0, 0]);
        file.extend([0; 16]);
        let headers = 64 + section.len() + names.len();
        file.extend((headers as u64).to_le_bytes());
        file.extend([0, 0, 0, 0, 64, 0, 56, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
        file.extend(&section);
        file.extend(names);
        let mut header = |words: [u64; 8]| {
            // Names and kinds are half as wide as the others.
            file.extend((words[0] | words[1] << 32).to_le_bytes());
            words[2..]
                .iter()
                .for_each(|word| file.extend(word.to_le_bytes()));
            file.extend([0; 8]);
        };
        header([0; 8]);
        header([1, 1, 0x800, 0, 64, section.len() as u64, 0, 1]);
        let at = 64 + section.len() as u64;
        header([14, 3, 0, 0, at, names.len() as u64, 0, 1]);
        file
    }

    fn inflated(file: &[u8], most: usize) -> Option<usize> {
        let elf = object::File::parse(file).expect("an object file");
        let section = elf.section_by_name(".debug_frame").expect("it is there");
        data(&section, most).map(|data| data.len())
    }

    fn checked(content: &[u8], most: u64) -> Result<(), String> {
        let name = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
        let file = nix::sys::memfd::memfd_create("tracer-test", name).expect("a file");
        let file = File::from(file);
        file.write_all_at(content, 0).expect("written");
        check(&file, most).map_err(|error| error.to_string())
    }

    #[test]
    fn a_section_has_what_it_claims_or_is_not_taken() {
        let honest = object_file(5000, 5000);
        assert_eq!(inflated(&honest, 5000), Some(5000));
        assert_eq!(inflated(&honest, 4999), None);
        assert_eq!(inflated(&object_file(5000, 4999), 6000), None);
        assert_eq!(inflated(&object_file(5000, 5001), 6000), None);
    }

    #[test]
    fn a_claim_makes_no_room() {
        for claimed in [1 << 40, u64::MAX] {
            let bomb = object_file(100, claimed);
            assert_eq!(inflated(&bomb, 256 << 20), None);
            assert!(checked(&bomb, 1 << 30).is_err());
        }
    }

    #[test]
    fn what_inflates_to_more_than_it_says_is_found_out() {
        assert_eq!(checked(&object_file(5000, 5000), 5000), Ok(()));
        for wrong in [object_file(5000, 5001), object_file(5000, 4999)] {
            assert!(checked(&wrong, 5000).is_err());
        }
        let bomb = object_file(64 << 20, 10);
        assert!(bomb.len() < 1 << 20);
        assert_eq!(inflated(&bomb, 1 << 20), None);
        assert!(checked(&bomb, 1 << 20).is_err());
    }

    /// What `xz` makes of 5,000 zeros, its check (CRC-64) as it is by default.
    #[rustfmt::skip]
    const ZEROS: [u8; 96] = [
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04,
        0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01,
        0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3,
        0xe0, 0x13, 0x87, 0x00, 0x1e, 0x5d, 0x00, 0x00,
        0x6f, 0xfd, 0xff, 0xff, 0xa3, 0xb7, 0xff, 0x47,
        0x3e, 0x48, 0x15, 0x72, 0x39, 0x61, 0x51, 0xb8,
        0x92, 0x28, 0xe6, 0xa3, 0x86, 0x07, 0xf9, 0xee,
        0xcd, 0xce, 0x05, 0xef, 0x00, 0x00, 0x00, 0x00,
        0xbe, 0xab, 0x50, 0xa6, 0x00, 0x65, 0x8f, 0x06,
        0x00, 0x01, 0x3a, 0x88, 0x27, 0x00, 0x00, 0x00,
        0xc2, 0x9c, 0xc7, 0xda, 0xb1, 0xc4, 0x67, 0xfb,
        0x02, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
    ];

    #[test]
    fn an_archive_is_unpacked_if_it_is_whole_and_not_too_large() {
        assert_eq!(unpack_xz(ZEROS.to_vec(), 5000).ok(), Some(vec![0; 5000]));
        assert!(unpack_xz(ZEROS.to_vec(), 4999).is_err());
        for len in 0..ZEROS.len() {
            assert!(unpack_xz(ZEROS[..len].to_vec(), 5000).is_err(), "{len}");
        }
        for at in 0..ZEROS.len() {
            let mut broken = ZEROS.to_vec();
            broken[at] ^= 0x10;
            // There is a byte that decoders pass over.
            let unpacked = unpack_xz(broken, 5000);
            assert!(
                unpacked.is_err() || unpacked.ok() == Some(vec![0; 5000]),
                "{at}"
            );
        }
    }
}

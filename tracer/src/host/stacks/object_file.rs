//! Object files as far as unwinding needs them: a path in, unwind tables out. Each is opened
//! once, and kept open as long as there are not too many. The kernel's image is one of them.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::File,
    io::BufReader,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    rc::Rc,
    sync::Arc,
};

use framehop::ExplicitModuleSectionInfo;
use object::{Object as _, ObjectSection as _, ObjectSegment as _, ReadCache, ReadRef};

use super::{CodeFile, compressed, signal_frame, vdso};
use crate::{
    host::{
        elf,
        foreign::{self, Bounded},
    },
    units::{Addr, Pid, Span},
};

/// Files kept open: half of what a process may have open by default.
const MOST_OPEN: usize = 512;
/// Files that are known of.
const MOST_FILES: usize = 8192;
/// Unwind tables of all files together, bytes.
const MOST_TABLES: usize = 256 << 20;
/// Places of one file that are remembered.
const MOST_PLACES: usize = 1024;
/// Read of one file for them: its headers and the tables.
const MOST_READ: u64 = 96 << 20;

/// All files seen so far.
pub struct Files {
    known: HashMap<CodeFile, Rc<ObjectFile>>,
    vdso: Rc<ObjectFile>,
    open: usize,
    tables: usize,
}

/// One of them.
pub struct ObjectFile {
    /// `None` if it cannot be opened; else why not.
    file: Result<File, String>,
    segments: Vec<Segment>,
    tables: Tables,
    entry: u64,
    /// Whether places are what the handler of a signal returns to, as far as that was looked at:
    /// each frame of each stack asks, and most are the same.
    signal_returns: RefCell<HashMap<u64, bool>>,
}

struct Segment {
    offset: u64,
    len: u64,
    address: u64,
}

#[derive(Default)]
struct Tables {
    eh_frame: Option<Section>,
    eh_frame_hdr: Option<Section>,
    debug_frame: Option<Section>,
}

#[derive(Clone)]
struct Section {
    start: u64,
    data: Arc<[u8]>,
}

impl Files {
    /// None yet, but for the kernel's image.
    pub fn new() -> Self {
        let image = vdso::image().map_err(|error| format!("cannot be read: {error}"));
        Self {
            known: HashMap::new(),
            vdso: Rc::new(ObjectFile::read(image, MOST_TABLES)),
            open: 0,
            tables: 0,
        }
    }

    /// A file that a process has mapped at `span` (empty if not known): from its path, or, if
    /// another or none is there now, from the mapping.
    pub fn open(&mut self, pid: Pid, span: Span, file: &CodeFile) -> Rc<ObjectFile> {
        if file.path == vdso::NAME {
            return Rc::clone(&self.vdso);
        }
        if let Some(known) = self.known.get(file)
            && (known.file.is_ok() || span.is_empty())
        {
            return Rc::clone(known);
        }
        if self.known.len() >= MOST_FILES || self.open >= MOST_OPEN {
            self.known.clear();
            (self.open, self.tables) = (0, 0);
        }
        let object = ObjectFile::read(open(pid, span, file), MOST_TABLES - self.tables);
        self.open += usize::from(object.file.is_ok());
        self.tables += object.tables.len();
        let object = Rc::new(object);
        self.known.insert(file.clone(), Rc::clone(&object));
        object
    }
}

fn open(pid: Pid, span: Span, file: &CodeFile) -> Result<File, String> {
    let by_path = elf::open(pid, &file.path, file.inode);
    by_path.or_else(|why| {
        let mapped = foreign::open_mapped(pid, span);
        let mapped = mapped.ok().filter(|mapped| {
            let inode = mapped.metadata().map(|metadata| metadata.ino());
            file.inode == 0 || inode.is_ok_and(|inode| inode == file.inode)
        });
        mapped.ok_or(why)
    })
}

impl ObjectFile {
    fn read(file: Result<File, String>, room: usize) -> Self {
        let opened = file.as_ref().ok().and_then(|file| file.try_clone().ok());
        let parsed = opened.and_then(|file| parse(file, room));
        let (segments, tables, entry) = parsed.unwrap_or_default();
        Self {
            file,
            segments,
            tables,
            entry,
            signal_returns: RefCell::default(),
        }
    }

    /// The file.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub fn file(&self) -> Result<&File, String> {
        self.file.as_ref().map_err(Clone::clone)
    }

    /// The address that an offset has by the file's own word.
    pub fn address(&self, offset: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let inside = offset.checked_sub(segment.offset)?;
            (inside < segment.len)
                .then(|| segment.address.checked_add(inside))
                .flatten()
        })
    }

    /// Whether an offset lies in the code where the file begins to run: nothing called that.
    pub fn is_entry(&self, offset: u64) -> bool {
        /// Of that of the dynamic loader, which has no table to unwind by.
        const LEN: u64 = 96;
        let into = self
            .address(offset)
            .and_then(|at| at.checked_sub(self.entry));
        self.entry != 0 && into.is_some_and(|into| into < LEN)
    }

    /// Whether it has tables to unwind by.
    pub fn has_tables(&self) -> bool {
        self.tables.eh_frame.is_some() || self.tables.debug_frame.is_some()
    }

    /// Where the file begins in memory if this offset lies at this address, and its tables.
    pub fn at(
        &self,
        start: Addr,
        offset: u64,
    ) -> Option<(Addr, ExplicitModuleSectionInfo<Arc<[u8]>>)> {
        if !self.has_tables() {
            return None;
        }
        let lowest = self.segments.iter().map(|segment| segment.address).min()?;
        let into = self.address(offset)?.checked_sub(lowest)?;
        let base = Addr(start.0.checked_sub(into)?);
        let range = |section: &Section| section.start..section.start + section.data.len() as u64;
        let data = |section: &Section| Arc::clone(&section.data);
        let Tables {
            eh_frame,
            eh_frame_hdr,
            debug_frame,
        } = &self.tables;
        let sections = ExplicitModuleSectionInfo {
            base_svma: lowest,
            eh_frame_svma: eh_frame.as_ref().map(range),
            eh_frame: eh_frame.as_ref().map(data),
            eh_frame_hdr_svma: eh_frame_hdr.as_ref().map(range),
            eh_frame_hdr: eh_frame_hdr.as_ref().map(data),
            debug_frame: debug_frame.as_ref().map(data),
            ..ExplicitModuleSectionInfo::default()
        };
        Some((base, sections))
    }

    /// Whether the instruction before an offset is a call.
    pub fn follows_call(&self, offset: u64) -> bool {
        let before: Option<[u8; 8]> = offset.checked_sub(8).and_then(|start| self.bytes(start));
        before.is_some_and(|before| elf::ends_with_call(&before))
    }

    /// Whether the code at an offset is what the handler of a signal returns to.
    pub fn is_signal_return(&self, offset: u64) -> bool {
        let mut known = self.signal_returns.borrow_mut();
        if known.len() >= MOST_PLACES {
            known.clear();
        }
        *known.entry(offset).or_insert_with(|| {
            let code: Option<[u8; signal_frame::LONGEST]> = self.bytes(offset);
            code.is_some_and(|code| signal_frame::is_return(&code))
        })
    }

    fn bytes<const LEN: usize>(&self, offset: u64) -> Option<[u8; LEN]> {
        let mut bytes = [0; LEN];
        let read = self.file.as_ref().ok()?.read_exact_at(&mut bytes, offset);
        read.ok().map(|()| bytes)
    }
}

impl Tables {
    fn len(&self) -> usize {
        let all = [&self.eh_frame, &self.eh_frame_hdr, &self.debug_frame];
        let present = all.into_iter().flatten();
        present.map(|section| section.data.len()).sum()
    }
}

fn parse(file: File, room: usize) -> Option<(Vec<Segment>, Tables, u64)> {
    let cache = ReadCache::new(BufReader::new(Bounded::new(file, MOST_READ)));
    let elf = object::File::parse(&cache).ok()?;
    let segments = elf.segments().map(|segment| {
        let (offset, len) = segment.file_range();
        Segment {
            offset,
            len,
            address: segment.address(),
        }
    });
    let mut left = room;
    let sizes = [".eh_frame", ".debug_frame"].map(|name| size_of(&elf, name));
    let mut tables = Tables::default();
    // A file that was built without the first has those of the start-up code in it all the same.
    if sizes[1] > sizes[0] {
        tables.debug_frame = section(&elf, ".debug_frame", &mut left);
    }
    if tables.debug_frame.is_none() {
        tables.eh_frame = section(&elf, ".eh_frame", &mut left);
    }
    if tables.eh_frame.is_some() {
        tables.eh_frame_hdr = section(&elf, ".eh_frame_hdr", &mut left);
    }
    Some((segments.collect(), tables, elf.entry()))
}

/// Of a section, inflated.
fn size_of<'data>(elf: &object::File<'data, impl ReadRef<'data>>, name: &str) -> u64 {
    let section = elf.section_by_name(name);
    let range = section.and_then(|section| section.compressed_file_range().ok());
    range.map_or(0, |range| range.uncompressed_size)
}

fn section<'data>(
    elf: &object::File<'data, impl ReadRef<'data>>,
    name: &str,
    left: &mut usize,
) -> Option<Section> {
    let section = elf.section_by_name(name)?;
    let data = compressed::data(&section, *left).filter(|data| !data.is_empty())?;
    *left = left.checked_sub(data.len())?;
    section.address().checked_add(data.len() as u64)?;
    Some(Section {
        start: section.address(),
        data: data.into(),
    })
}

//! An initramfs: files and folders in, a cpio archive out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use cpio::newc::{Builder, ModeFileType, trailer};

/// An archive that is being written. Names are paths from the guest's root, without the first `/`.
pub struct Archive<W> {
    output: W,
    folders: BTreeSet<String>,
    inodes: u32,
}

impl Archive<BufWriter<File>> {
    /// A new file.
    pub fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self::new(BufWriter::new(file)))
    }
}

impl<W: Write> Archive<W> {
    /// An empty archive.
    pub const fn new(output: W) -> Self {
        Self {
            output,
            folders: BTreeSet::new(),
            inodes: 0,
        }
    }

    /// A folder, and those it is in, unless they are there already.
    pub fn folder(&mut self, name: &str) -> Result<()> {
        if name.is_empty() || self.folders.contains(name) {
            return Ok(());
        }
        self.outer_folder(name)?;
        self.folders.insert(name.to_owned());
        self.entry(name, ModeFileType::Directory, 0o755, &[])
    }

    /// A symbolic link.
    pub fn link(&mut self, name: &str, target: &str) -> Result<()> {
        self.outer_folder(name)?;
        self.entry(name, ModeFileType::Symlink, 0o777, target.as_bytes())
    }

    /// A file with this content, readable and executable by all.
    pub fn file(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.outer_folder(name)?;
        self.entry(name, ModeFileType::Regular, 0o755, content)
    }

    /// A copy of a file of this system.
    pub fn copy(&mut self, name: &str, source: &Path) -> Result<()> {
        let mut content = Vec::new();
        File::open(source)
            .and_then(|mut file| file.read_to_end(&mut content))
            .with_context(|| format!("cannot read {}", source.display()))?;
        self.file(name, &content)
    }

    /// Ends the archive.
    pub fn finish(self) -> Result<W> {
        trailer(self.output).context("cannot write the end of the initramfs")
    }

    fn outer_folder(&mut self, name: &str) -> Result<()> {
        match name.rsplit_once('/') {
            Some((outer, _)) => self.folder(outer),
            None => Ok(()),
        }
    }

    fn entry(&mut self, name: &str, kind: ModeFileType, mode: u32, content: &[u8]) -> Result<()> {
        self.inodes += 1;
        let size = u32::try_from(content.len())
            .with_context(|| format!("{name} is too large for an initramfs"))?;
        let builder = Builder::new(name)
            .ino(self.inodes)
            .mode(mode)
            .set_mode_file_type(kind);
        let mut writer = builder.write(&mut self.output, size);
        writer
            .write_all(content)
            .and_then(|()| writer.finish().map(drop))
            .with_context(|| format!("cannot write {name} into the initramfs"))
    }
}

#[cfg(test)]
mod tests {
    use cpio::newc::Reader;

    use super::*;

    #[test]
    fn folders_come_once_and_before_what_is_in_them() {
        let mut archive = Archive::new(Vec::new());
        archive.file("etc/vm/one", b"1").expect("memory");
        archive.file("etc/vm/two", b"22").expect("memory");
        archive.link("bin", "usr/bin").expect("memory");
        let bytes = archive.finish().expect("memory");

        let mut rest = bytes.as_slice();
        let mut found = Vec::new();
        loop {
            let mut reader = Reader::new(rest).expect("an entry");
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = String::new();
            reader.read_to_string(&mut content).expect("text");
            let entry = reader.entry();
            let kind = entry.mode() & 0o170_000;
            found.push((entry.name().to_owned(), kind, content));
            rest = reader.finish().expect("the next entry");
        }
        let expected = [
            ("etc", 0o040_000, ""),
            ("etc/vm", 0o040_000, ""),
            ("etc/vm/one", 0o100_000, "1"),
            ("etc/vm/two", 0o100_000, "22"),
            ("bin", 0o120_000, "usr/bin"),
        ];
        let expected = expected.map(|(name, kind, text)| (name.to_owned(), kind, text.to_owned()));
        assert_eq!(found, expected);
    }
}

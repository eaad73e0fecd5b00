//! The process's own VmSize and VmRSS, read without allocating.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::Error;
use crate::units::Kilobytes;

/// What the kernel says of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Address space: every mapping, used or not. Exact.
    pub vm_size: Kilobytes,
    /// Pages in memory. Kernels before 6.17 may lag by some pages a processor.
    pub vm_rss: Kilobytes,
}

/// `/proc/self/status`, kept open.
#[derive(Debug)]
pub struct Status(File);

impl Status {
    /// Opens the file.
    pub fn open() -> Result<Self, Error> {
        let file = File::open("/proc/self/status").map_err(Error::Status)?;
        Ok(Self(file))
    }

    /// Reads the figures of this moment.
    pub fn read(&self) -> Result<Usage, Error> {
        let mut buffer = [0; 4096];
        let length = self.0.read_at(&mut buffer, 0).map_err(Error::Status)?;
        parse(&buffer[..length])
            .ok_or_else(|| Error::Status(io::Error::from(io::ErrorKind::InvalidData)))
    }
}

fn parse(status: &[u8]) -> Option<Usage> {
    let field = |name: &str| {
        let mut lines = status.split(|&byte| byte == b'\n');
        let value = lines.find_map(|line| line.strip_prefix(name.as_bytes()))?;
        let value = std::str::from_utf8(value).ok()?.trim();
        let number = value.strip_suffix("kB")?.trim_end().parse().ok()?;
        Some(Kilobytes(number))
    };
    Some(Usage {
        vm_size: field("VmSize:")?,
        vm_rss: field("VmRSS:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_fields_are_found() {
        let status = b"Name:\tx\nVmPeak:\t    9 kB\nVmSize:\t    2816 kB\nVmRSS:\t  1592 kB\n";
        let usage = Usage {
            vm_size: Kilobytes(2816),
            vm_rss: Kilobytes(1592),
        };
        assert_eq!(parse(status), Some(usage));
    }

    #[test]
    fn a_missing_or_broken_field_is_noticed() {
        assert_eq!(parse(b"VmSize:\t 1 kB\n"), None);
        assert_eq!(parse(b"VmSize:\t x kB\nVmRSS:\t 1 kB\n"), None);
    }
}

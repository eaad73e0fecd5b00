//! Error numbers as the kernel returns them, with their names.

use std::fmt;

/// An `errno`, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub u16);

impl Errno {
    /// The descriptor is none, or not one for this.
    pub const EBADF: Self = Self(9);
    /// The file was not opened for what is asked.
    pub const EACCES: Self = Self(13);
    /// A range holds addresses where nothing is mapped, or memory or mappings ran out.
    pub const ENOMEM: Self = Self(12);
    /// An argument is not one the call takes.
    pub const EINVAL: Self = Self(22);

    /// Its symbol, for those that calls on address spaces return; else `None`.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "EPERM",
            2 => "ENOENT",
            3 => "ESRCH",
            4 => "EINTR",
            9 => "EBADF",
            11 => "EAGAIN",
            12 => "ENOMEM",
            13 => "EACCES",
            14 => "EFAULT",
            16 => "EBUSY",
            17 => "EEXIST",
            19 => "ENODEV",
            22 => "EINVAL",
            23 => "ENFILE",
            26 => "ETXTBSY",
            38 => "ENOSYS",
            75 => "EOVERFLOW",
            95 => "EOPNOTSUPP",
            _ => return None,
        })
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&format!("errno {}", self.0)),
        }
    }
}

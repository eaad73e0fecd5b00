//! The system calls that change an address space, and their numbers.
//!
//! One table: probes attach by it, decoding reads by it, views name by it. Numbers are
//! those of the kernel's 64-bit tables (`arch/x86/entry/syscalls/syscall_64.tbl`,
//! `include/uapi/asm-generic/unistd.h`).

use serde::{Serialize, Serializer};

macro_rules! syscalls {
    ($($(#[$doc:meta])* $variant:ident $name:literal args $args:literal x86_64 $x86:tt aarch64 $arm:tt;)*) => {
        /// A system call that changes an address space, or a process that has one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Syscall {
            $($(#[$doc])* $variant,)*
        }

        impl Syscall {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name, as in the kernel's table.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How many arguments it takes.
            #[must_use]
            pub const fn arity(self) -> usize {
                match self { $(Self::$variant => $args,)* }
            }

            /// Its number on this architecture; `None` where it does not exist.
            #[must_use]
            pub const fn number(self) -> Option<u64> {
                #[cfg(target_arch = "x86_64")]
                return match self { $(Self::$variant => number!($x86),)* };
                #[cfg(target_arch = "aarch64")]
                return match self { $(Self::$variant => number!($arm),)* };
            }
        }
    };
}

macro_rules! number {
    (-) => {
        None
    };
    ($number:literal) => {
        Some($number)
    };
}

syscalls! {
    /// Places a mapping.
    Mmap "mmap" args 6 x86_64 9 aarch64 222;
    /// Takes mappings away.
    Munmap "munmap" args 2 x86_64 11 aarch64 215;
    /// Moves the end of the heap.
    Brk "brk" args 1 x86_64 12 aarch64 214;
    /// Moves or resizes a mapping.
    Mremap "mremap" args 5 x86_64 25 aarch64 216;
    /// Changes protection.
    Mprotect "mprotect" args 3 x86_64 10 aarch64 226;
    /// Changes protection and protection key.
    PkeyMprotect "pkey_mprotect" args 4 x86_64 329 aarch64 288;
    /// Gives pages back, among other advice.
    Madvise "madvise" args 3 x86_64 28 aarch64 233;
    /// The same for a vector of ranges, of another process too.
    ProcessMadvise "process_madvise" args 5 x86_64 440 aarch64 440;
    /// Attaches a System V shared-memory segment.
    Shmat "shmat" args 3 x86_64 30 aarch64 196;
    /// Detaches one.
    Shmdt "shmdt" args 1 x86_64 67 aarch64 197;
    /// Maps other pages of the same file in place.
    RemapFilePages "remap_file_pages" args 5 x86_64 216 aarch64 234;
    /// Names anonymous memory (only `PR_SET_VMA` is traced).
    Prctl "prctl" args 5 x86_64 157 aarch64 167;
    /// Locks pages in memory.
    Mlock "mlock" args 2 x86_64 149 aarch64 228;
    /// Locks pages, optionally on fault.
    Mlock2 "mlock2" args 3 x86_64 325 aarch64 284;
    /// Unlocks pages.
    Munlock "munlock" args 2 x86_64 150 aarch64 229;
    /// Locks all pages.
    Mlockall "mlockall" args 1 x86_64 151 aarch64 230;
    /// Unlocks all pages.
    Munlockall "munlockall" args 0 x86_64 152 aarch64 231;
    /// Places a ring of asynchronous I/O.
    IoSetup "io_setup" args 2 x86_64 206 aarch64 0;
    /// Takes it away.
    IoDestroy "io_destroy" args 1 x86_64 207 aarch64 1;
    /// Places a shadow stack.
    MapShadowStack "map_shadow_stack" args 3 x86_64 453 aarch64 453;
    /// Makes a process.
    Fork "fork" args 0 x86_64 57 aarch64 -;
    /// Makes a process that borrows its parent's address space.
    Vfork "vfork" args 0 x86_64 58 aarch64 -;
    /// Makes a process or thread.
    Clone "clone" args 5 x86_64 56 aarch64 220;
    /// The same, by a structure.
    Clone3 "clone3" args 2 x86_64 435 aarch64 435;
    /// Replaces the program image.
    Execve "execve" args 3 x86_64 59 aarch64 221;
    /// The same, by a descriptor.
    Execveat "execveat" args 5 x86_64 322 aarch64 281;
}

impl Syscall {
    /// The call of this number on this architecture.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|call| call.number() == Some(number))
    }

    /// Whether it makes or replaces a process rather than changing a range.
    #[must_use]
    pub const fn is_task_call(self) -> bool {
        matches!(
            self,
            Self::Fork | Self::Vfork | Self::Clone | Self::Clone3 | Self::Execve | Self::Execveat
        )
    }
}

impl std::fmt::Display for Syscall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Syscall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_calls() {
        for &call in Syscall::ALL {
            if let Some(number) = call.number() {
                assert_eq!(Syscall::from_number(number), Some(call));
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn numbers_are_those_of_libc() {
        assert_eq!(Syscall::Mmap.number(), Some(libc::SYS_mmap as u64));
        assert_eq!(Syscall::Madvise.number(), Some(libc::SYS_madvise as u64));
        assert_eq!(
            Syscall::ProcessMadvise.number(),
            Some(libc::SYS_process_madvise as u64)
        );
    }
}

//! Facts about this host and the processes on it, read from files and the kernel.
//!
//! Everything that attribution and the model take as arguments is gathered here. What a
//! file of the target says is data of a stranger: parsed, never trusted, never run.

pub mod btf;
mod cgroup;
pub mod clock;
pub mod crowd;
pub mod elf;
pub mod exports;
mod foreign;
pub mod heap_walk;
pub mod kernel;
pub mod launch;
pub mod maps;
pub mod own;
pub mod pages;
pub mod privilege;
pub mod process;
pub mod settings;
pub mod stacks;
mod step;
pub mod survey;

//! Who asked: the frames of a call site in, the code that decides out.
//!
//! The innermost frame that is no mere wrapper of a system call decides. Code without a
//! symbol decides only where it cannot be an allocator's.

mod names;

use super::{
    allocators::{self, Allocator, glibc, musl},
    demangled,
    evidence::{CallSite, Evidence, Frame, Module},
    module_name,
};

pub use names::{is_loader, is_malloc_family, plain};

/// The code behind a call; numbers are places in [`CallSite::frames`].
#[derive(Clone, Copy)]
pub enum Caller {
    /// No frame tells.
    Unknown,
    /// Code that may be an allocator's or not.
    Undecided(usize),
    /// An allocator's.
    Allocator(&'static Allocator, usize),
    /// The dynamic loader's, or start-up code of the C library.
    Loader(usize),
    /// What makes threads.
    Threads(usize),
    /// The program's or a library's own.
    Code(usize),
}

impl Caller {
    /// The frame that decided.
    pub const fn frame(self) -> Option<usize> {
        match self {
            Self::Unknown => None,
            Self::Undecided(frame)
            | Self::Allocator(_, frame)
            | Self::Loader(frame)
            | Self::Threads(frame)
            | Self::Code(frame) => Some(frame),
        }
    }
}

/// What all call sites of a process are judged by.
pub struct Judge<'a> {
    modules: &'a [Module],
    has_libc: bool,
}

impl<'a> Judge<'a> {
    /// For this process.
    pub fn new(evidence: &Evidence<'a>) -> Self {
        let is_libc = |module: &Module| {
            let name = module_name(&module.path);
            glibc::GLIBC.has_library(name) || names::is_musl(&module.path)
        };
        Self {
            modules: evidence.modules,
            has_libc: evidence.modules.iter().any(is_libc),
        }
    }

    /// Who asked at this call site.
    pub fn caller(&self, site: &CallSite) -> Caller {
        if site.end.is_some()
            && let Some(caller) = self.looked_through(&site.frames)
        {
            return caller;
        }
        let mut frames = site.frames.iter().enumerate();
        let decisive = frames.find_map(|(index, frame)| self.frame(index, frame));
        decisive.unwrap_or(Caller::Unknown)
    }

    /// What the frames of an unwound stack say where the innermost one says too little: one
    /// without a symbol is a part of what the next ones of its file do.
    fn looked_through(&self, frames: &[Frame]) -> Option<Caller> {
        let is_wrapper = |frame: &Frame| {
            let function = frame.function.as_deref().map(names::plain);
            function.is_some_and(names::is_wrapper)
        };
        let first = frames.iter().position(|frame| !is_wrapper(frame))?;
        let module = &frames[first].module;
        let of_module = |(_, frame): &(usize, &Frame)| frame.module == *module;
        let run = frames.iter().enumerate().skip(first);
        let mut run = run.take_while(of_module);
        if frames[first].function.is_some() || module.is_empty() {
            return None;
        }
        run.find_map(|(index, frame)| match self.frame(index, frame)? {
            Caller::Undecided(_) => None,
            // Of unnamed code of a C library all that is known is which library.
            Caller::Allocator(..) if frame.function.is_none() => None,
            Caller::Allocator(allocator, _) => Some(Caller::Allocator(allocator, first)),
            Caller::Code(_) if frame.function.is_none() => None,
            told => Some(told),
        })
    }

    /// What one frame says; `None`: a wrapper.
    fn frame(&self, index: usize, frame: &Frame) -> Option<Caller> {
        let name = module_name(&frame.module);
        let module = self.module(frame);
        let function = frame.function.as_deref().map(names::plain);
        if function.is_some_and(names::is_wrapper) {
            return None;
        }
        let musl = names::is_musl(&frame.module);
        let glibc = glibc::GLIBC.has_library(name) || names::is_thread_library(name);
        let of_libc = musl || glibc || is_loader(name) || !self.has_libc;
        Some(match function.filter(|_| of_libc) {
            Some(function) if names::makes_threads(function) => Caller::Threads(index),
            Some(function) if names::starts_up(function, musl) => Caller::Loader(index),
            _ if names::is_thread_library(name) => Caller::Threads(index),
            _ if musl => libc(&musl::MUSL, index, function, module),
            _ if glibc => libc(&glibc::GLIBC, index, function, module),
            _ if is_loader(name) => Caller::Loader(index),
            _ => match allocators::by_library(name) {
                Some(allocator) => Caller::Allocator(allocator, index),
                None => self.code(index, function, module),
            },
        })
    }

    /// The module of a frame. Several ids can be one file: then the path decides.
    fn module(&self, frame: &Frame) -> Option<&'a Module> {
        let mut modules = self.modules.iter();
        modules
            .find(|module| module.file == frame.file)
            .or_else(|| {
                self.modules
                    .iter()
                    .find(|module| module.path == frame.module)
            })
    }

    /// What code outside of libraries known by name says.
    fn code(&self, index: usize, function: Option<&str>, module: Option<&Module>) -> Caller {
        let Some(function) = function else {
            return if self.may_hide_an_allocator(module) {
                Caller::Undecided(index)
            } else {
                Caller::Code(index)
            };
        };
        if let Some(allocator) = allocators::by_function(function, module) {
            return Caller::Allocator(allocator, index);
        }
        if names::is_malloc_family(function) {
            let mut told = told_by(module);
            return match (told.next(), told.next()) {
                (Some(only), None) => Caller::Allocator(only, index),
                (Some(_), Some(_)) => Caller::Undecided(index),
                (None, _) if self.has_libc => Caller::Code(index),
                (None, _) => Caller::Undecided(index),
            };
        }
        Caller::Code(index)
    }

    /// Whether code without a symbol in this module can be an allocator's.
    fn may_hide_an_allocator(&self, module: Option<&Module>) -> bool {
        let Some(module) = module else {
            return true;
        };
        !self.has_libc || module.unreadable.is_some() || told_by(Some(module)).next().is_some()
    }
}

/// Code of a C library that is no wrapper: its malloc, for all that it maps anonymously.
fn libc(
    allocator: &'static Allocator,
    index: usize,
    function: Option<&str>,
    module: Option<&Module>,
) -> Caller {
    let unreadable = module.is_some_and(|module| module.unreadable.is_some());
    if function.is_none() && unreadable {
        // Its mmap() and sbrk() have no symbol either: any program may stand behind them.
        return Caller::Undecided(index);
    }
    Caller::Allocator(allocator, index)
}

/// The allocators that a module tells of.
fn told_by(module: Option<&Module>) -> impl Iterator<Item = &'static Allocator> {
    allocators::TABLE
        .into_iter()
        .filter(move |allocator| module.is_some_and(|module| allocator.is_told_by(module)))
}

/// The frame that asked an allocator for memory or gave it back, seen from the allocator's frame
/// on: the innermost one that is neither the allocator's, nor a wrapper of it.
pub fn asker(frames: &[Frame], decided: usize) -> Option<usize> {
    let module = &frames.get(decided)?.module;
    let named = |frame: &Frame| {
        frame
            .function
            .as_deref()
            .map(names::plain)
            .map(str::to_owned)
    };
    let is_own = |frame: &Frame| {
        let function = named(frame);
        let function = function.as_deref();
        function.is_some_and(|function| {
            names::is_malloc_family(function)
                || names::is_wrapper(function)
                || names::passes_on(function)
                || allocators::by_function(function, None).is_some()
        }) || allocators::by_library(module_name(&frame.module)).is_some()
    };
    let decides = &frames[decided];
    if !is_own(decides) && allocators::by_library(module_name(module)).is_none() {
        return Some(decided);
    }
    let behind = frames.iter().enumerate().skip(decided);
    behind
        .skip_while(|(_, frame)| is_own(frame))
        .map(|(index, _)| index)
        .next()
}

/// The frame in words: `grow in libexample.so`, `libexample.so+0x1234`.
pub fn in_words(frame: &Frame) -> String {
    let module = module_name(&frame.module);
    match &frame.function {
        Some(function) => format!("{} in {module}", demangled(function)),
        None => format!("{module}+{:#x}", frame.offset),
    }
}

#[cfg(test)]
mod tests;

//! Compilers and linkers in, the pair that works together out. Pure.

use super::compiler::Compiler;
use super::linker::{self, Linker};

/// The chosen pair; what is `None` must be installed.
#[derive(Debug, Default)]
pub struct Plan {
    /// A compiler with core's sources.
    pub compiler: Option<Compiler>,
    /// A bpf-linker that reads that compiler's bitcode.
    pub linker: Option<Linker>,
}

impl Plan {
    /// Nothing left to install or to link.
    pub fn is_ready(&self) -> bool {
        self.linker.is_some() && self.compiler.as_ref().is_some_and(Compiler::is_usable)
    }
}

/// The first compiler that a linker here can serve, with that linker; else the first one the
/// linker that set-up builds can serve. Both lists come in order of preference.
pub fn choose(compilers: &[Compiler], linkers: &[Linker]) -> Plan {
    for compiler in compilers {
        let linker = linkers
            .iter()
            .find(|linker| compiler.versions.links_with(linker.llvm));
        if let Some(linker) = linker {
            return Plan {
                compiler: Some(compiler.clone()),
                linker: Some(linker.clone()),
            };
        }
    }
    let compiler = compilers
        .iter()
        .find(|compiler| compiler.versions.links_with(linker::LLVM))
        .cloned();
    // A linker too old for every compiler here still serves none: build ours beside it.
    let linker = linkers
        .iter()
        .find(|linker| compiler.is_none() && linker.llvm >= linker::LLVM)
        .cloned();
    Plan { compiler, linker }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::compiler::Handle;
    use super::super::versions::{LlvmMajor, Release, RustcVersions};
    use super::*;

    fn compiler(name: &str, llvm: u32) -> Compiler {
        Compiler {
            handle: Handle::Rustup(name.to_owned()),
            sysroot: PathBuf::from("/"),
            versions: RustcVersions {
                release: Release {
                    major: 1,
                    minor: 96,
                },
                llvm: LlvmMajor(llvm),
            },
        }
    }

    fn linker(path: &str, llvm: u32) -> Linker {
        Linker {
            path: PathBuf::from(path),
            llvm: LlvmMajor(llvm),
        }
    }

    fn names(plan: &Plan) -> (Option<&str>, Option<&str>) {
        let compiler = plan.compiler.as_ref().and_then(|c| match &c.handle {
            Handle::Rustup(name) => Some(name.as_str()),
            _ => None,
        });
        let linker = plan.linker.as_ref().and_then(|l| l.path.to_str());
        (compiler, linker)
    }

    #[test]
    fn the_first_pair_that_fits_wins() {
        let plan = choose(
            &[compiler("nightly", 23), compiler("linked", 22)],
            &[linker("old", 21), linker("ours", 22)],
        );
        assert_eq!(names(&plan), (Some("linked"), Some("ours")));
        assert!(plan.is_ready());
    }

    #[test]
    fn a_linker_too_old_is_replaced() {
        let plan = choose(&[compiler("linked", 22)], &[linker("old", 21)]);
        assert_eq!(names(&plan), (Some("linked"), None));
        assert!(!plan.is_ready());
    }

    #[test]
    fn a_compiler_too_new_for_any_linker_is_replaced() {
        let plan = choose(&[compiler("nightly", 23)], &[linker("ours", 22)]);
        assert_eq!(names(&plan), (None, Some("ours")));
    }

    #[test]
    fn an_empty_system_needs_both() {
        assert_eq!(names(&choose(&[], &[])), (None, None));
    }

    #[test]
    fn a_compiler_that_rustup_does_not_know_is_not_ready() {
        let mut unlinked = compiler("x", 22);
        unlinked.handle = Handle::Unlinked(PathBuf::from("/usr"));
        assert!(!choose(&[unlinked], &[linker("ours", 22)]).is_ready());
    }
}

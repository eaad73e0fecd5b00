//! The questions: what is asked, why it matters, and what is done where the answer is no.

use serde::Serialize;

/// What topics are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// The machine, the build, and where on the machine this runs.
    Place,
    /// What the caller may do.
    Rights,
    /// What the kernel does for the probes.
    Probes,
    /// What can be read of processes.
    Processes,
}

impl Group {
    /// For a heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Place => "This host",
            Self::Rights => "Rights of the caller",
            Self::Probes => "Probes, loaded and attached for a moment",
            Self::Processes => "What can be read of processes",
        }
    }
}

macro_rules! topics {
    ($($(#[doc = $doc:literal])+ $name:ident, $group:ident, $title:literal, $matters:literal, $instead:literal;)+) => {
        /// A question that is answered by yes, no, or "could not tell".
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Topic {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Topic {
            /// All of them, group by group.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// What it is about.
            #[must_use]
            pub const fn group(self) -> Group {
                match self { $(Self::$name => Group::$group,)+ }
            }

            /// For people: what is so if the answer is yes.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// Why it matters.
            #[must_use]
            pub const fn matters(self) -> &'static str {
                match self { $(Self::$name => $matters,)+ }
            }

            /// What is used instead, or what helps, where the answer is not yes.
            #[must_use]
            pub const fn instead(self) -> &'static str {
                match self { $(Self::$name => $instead,)+ }
            }
        }
    };
}

topics! {
    /// The kernel is not too old.
    KernelRelease, Place, "Linux 5.10 or newer",
        "older ones lack the ring buffer or were never tried",
        "nothing: update the kernel";
    /// The architecture is one whose calls are known.
    Architecture, Place, "known architecture",
        "numbers of system calls and the look of a call differ",
        "nothing: aarch64 is built but was never run";
    /// This binary has probes.
    ProbesBuiltIn, Place, "probes built in",
        "they are the kernel's side of the tracer",
        "nothing: build it with `cargo xtask build`";
    /// Process ids are those of the kernel.
    PidNamespace, Place, "initial pid namespace",
        "the kernel names processes by their ids there",
        "nothing: run it on the host, or with the host's pid namespace (`--pid=host`)";
    /// Capabilities count.
    UserNamespace, Place, "initial user namespace",
        "capabilities count for the kernel only there",
        "nothing: run it on the host, not in a rootless container";

    /// It may load.
    CapBpf, Rights, "cap_bpf",
        "loading programs, making maps",
        "nothing: run it with sudo, or setcap (see README)";
    /// It may attach and read kernel memory.
    CapPerfmon, Rights, "cap_perfmon",
        "tracing programs: attaching, reading kernel memory",
        "nothing: run it with sudo, or setcap (see README)";
    /// It may read others' processes.
    CapSysPtrace, Rights, "cap_sys_ptrace",
        "maps of other users' processes",
        "own processes can be traced";
    /// It may read others' files.
    CapDacReadSearch, Rights, "cap_dac_read_search",
        "environment, heap and object files of other users' processes",
        "settings and call sites of such processes stay unknown in part";
    /// It may lock memory beyond the limit.
    CapSysResource, Rights, "cap_sys_resource",
        "raising RLIMIT_MEMLOCK, to which Linux before 5.11 charges maps",
        "the limit as it is: `ulimit -l` before the start";
    /// The kernel charges maps to no limit, or to one that is large enough.
    Memlock, Rights, "memory for maps",
        "Linux before 5.11 charges maps to RLIMIT_MEMLOCK",
        "a smaller --ring-size, or `ulimit -l unlimited` before the start";
    /// The kernel lets programs read its memory.
    Lockdown, Rights, "kernel memory not locked down",
        "lockdown `confidentiality` forbids programs to read kernel memory",
        "nothing: boot without lockdown=confidentiality";
    /// `bpf()` is for the privileged alone.
    UnprivilegedBpfDisabled, Rights, "bpf() for the privileged only",
        "then cap_bpf is kept while tracing, on Linux before 5.19",
        "cap_bpf is given up once probes are attached";

    /// `bpf()` works.
    BpfSyscall, Probes, "bpf() permitted",
        "everything is loaded through it",
        "nothing: see the rights above; in a container its seccomp profile must allow bpf()";
    /// There is the ring buffer.
    RingBuffer, Probes, "BPF ring buffer",
        "events leave the kernel through it",
        "nothing: it is of Linux 5.8";
    /// The kernel's types can be read.
    Btf, Probes, "kernel types (BTF)",
        "where the kernel keeps sizes, names and children",
        "no comparison at each call, children are not followed; maps are read instead";
    /// The sizes of an address space are found.
    SizeOffsets, Probes, "offsets of sizes",
        "the kernel's own VmSize and RSS with each event",
        "no comparison at each call, children are not followed; maps are read instead";
    /// The way to a file's path is found.
    PathOffsets, Probes, "offsets of file paths",
        "names of files that are unmapped soon",
        "names are read from the map";
    /// Programs may load from the running task.
    DirectLoads, Probes, "direct loads of kernel fields",
        "the kernel's figures cost each traced call a few nanoseconds then",
        "a helper copies them, which costs more";
    /// The exit of calls can be tapped.
    SysExit, Probes, "raw tracepoint sys_exit",
        "captures calls on every kernel",
        "trampolines";
    /// The entry of calls can be tapped.
    SysEnter, Probes, "raw tracepoint sys_enter",
        "captures calls on every kernel",
        "trampolines";
    /// Forks can be tapped.
    ProcessFork, Probes, "raw tracepoint sched_process_fork",
        "children are followed from their first call",
        "children are not followed";
    /// Execs can be tapped.
    ProcessExec, Probes, "raw tracepoint sched_process_exec",
        "a new program is a new address space",
        "nothing";
    /// Ends can be tapped.
    ProcessExit, Probes, "raw tracepoint sched_process_exit",
        "the figures of a process' last moment",
        "nothing";
    /// Trampolines can be attached.
    Trampolines, Probes, "trampolines (fentry, fexit)",
        "they cost other system calls of the machine nothing",
        "the raw tracepoints of system calls";
    /// Calls can be captured.
    Capture, Probes, "calls can be captured",
        "the calls that change an address space are what is traced",
        "nothing";
    /// Callers' stacks can be copied.
    Stacks, Probes, "stacks of callers",
        "who asked for memory, in full, with functions and lines",
        "callers are told from the top words of the stack only";
    /// Functions of allocators can be probed.
    HeapView, Probes, "functions of allocators (--heap)",
        "what a program holds is told from what its allocator keeps",
        "nothing: such memory is called live or cached";
    /// Programs are far from the verifier's limit.
    VerifierBudget, Probes, "within the verifier's limit",
        "it gives up at 1,000,000 instructions",
        "nothing: a program that was loaded is within it";
    /// Programs are compiled.
    Jit, Probes, "BPF compiler (JIT)",
        "tracing costs several times as much without",
        "the kernel's interpreter: `sysctl net.core.bpf_jit_enable=1`";

    /// All processes are visible.
    ProcVisible, Processes, "all processes in /proc",
        "hidepid hides those of others",
        "own processes can be traced";
    /// `ptrace` is allowed.
    Yama, Processes, "ptrace permitted (yama)",
        "to hold a launched command before its first instruction, and to walk heaps",
        "a command's first map may be read late; heaps are not walked";
    /// smaps is there.
    Smaps, Processes, "/proc/PID/smaps",
        "what is in memory, mapping by mapping",
        "only the sums of RSS";
    /// pagemap is there.
    Pagemap, Processes, "/proc/PID/pagemap",
        "what is in memory, page by page",
        "bounds by smaps, mapping by mapping";
    /// Memory can be named.
    AnonNames, Processes, "named memory (PR_SET_VMA)",
        "some allocators name their mappings",
        "names as given in the calls are used all the same";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_a_group_stand_together() {
        let mut groups: Vec<Group> = Topic::ALL.iter().map(|topic| topic.group()).collect();
        groups.dedup();
        assert_eq!(groups.len(), 4, "{groups:?}");
    }

    #[test]
    fn the_document_names_every_topic() {
        let document = include_str!("../../../docs/json.md");
        for topic in Topic::ALL {
            let name = serde_json::to_value(topic).expect("it is a name");
            let name = format!("`{}`", name.as_str().expect("a string"));
            assert!(document.contains(&name), "{name}");
        }
    }
}

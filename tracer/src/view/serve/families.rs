//! All metrics: names, kinds, labels and what they tell. `docs/serve.md` is written from here, a
//! test keeps it so.

use super::encode::{Family, Kind};

const fn family(
    kind: Kind,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family {
        name,
        kind,
        help,
        labels,
    }
}

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal $labels:tt $help:literal)*) => {
        $(
            #[doc = $help]
            pub const $constant: Family = family(Kind::$kind, $name, &$labels, $help);
        )*
        /// All of them.
        pub const FAMILIES: &[Family] = &[$($constant),*];
    };
}

families! {
    // The host.
    HOST_PROCESSES: Gauge "tracer_host_processes" []
        "Processes that the filters let pass."
    HOST_VM: Gauge "tracer_host_virtual_memory_bytes" []
        "VmSize of the processes that the filters let pass, in sum."
    HOST_RSS: Gauge "tracer_host_resident_memory_bytes" []
        "RSS of the same; memory that processes share counts in each."
    HOST_GROWTH: Gauge "tracer_host_growth_bytes" []
        "Growth of VmSize since the start of tracer, of the same processes; of those that came later all of it."
    HOST_RETAINED: Gauge "tracer_host_retained_bytes" []
        "Address space given back and kept, of those processes where it is known."
    CALLS: Counter "tracer_calls_total" ["call"]
        "Calls that change an address space, of all processes, failed ones included."
    FAILED_CALLS: Counter "tracer_failed_calls_total" ["call"]
        "Failed calls among them."
    REQUESTED: Counter "tracer_requested_bytes_total" ["operation"]
        "Bytes that calls asked to map, to unmap, to give back at once (purge) or when memory is short (lazy_free)."
    ENDS: Counter "tracer_process_ends_total" []
        "Processes that ended."
    EXECUTIONS: Counter "tracer_program_executions_total" []
        "Programs that were executed."
    MAPPINGS_LIMIT: Gauge "tracer_mappings_limit" []
        "Mappings that a process may have (vm.max_map_count)."
    // Processes.
    PROCESS: Info "tracer_process_info" ["pid", "comm", "user", "cgroup", "allocators", "reason"]
        "A leading process: its user, control group, the allocators found in it, and why its VmSize is what it is."
    PROCESS_VM: Gauge "tracer_process_virtual_memory_bytes" ["pid", "comm"]
        "VmSize."
    PROCESS_RSS: Gauge "tracer_process_resident_memory_bytes" ["pid", "comm"]
        "RSS."
    PROCESS_GROWTH: Gauge "tracer_process_growth_bytes" ["pid", "comm"]
        "Growth of VmSize since the start of tracer; all of it if the process came later."
    PROCESS_RETAINED: Gauge "tracer_process_retained_bytes" ["pid", "comm"]
        "Address space given back and kept; absent where it is not known."
    PROCESS_RESERVED: Gauge "tracer_process_reserved_bytes" ["pid", "comm"]
        "Address space that is not accessible; absent if the map was not read."
    PROCESS_LAZY_FREE: Gauge "tracer_process_lazy_free_bytes" ["pid", "comm"]
        "In memory and free for the kernel to take (LazyFree); absent if not read."
    PROCESS_MAPPINGS: Gauge "tracer_process_mappings" ["pid", "comm"]
        "Mappings; absent if the map was not read."
    PROCESS_CALLS: Counter "tracer_process_calls_total" ["pid", "comm"]
        "Calls that change its address space, since the start of tracer."
    PROCESS_FAILED_CALLS: Counter "tracer_process_failed_calls_total" ["pid", "comm"]
        "Failed calls among them."
    PROCESS_REQUESTED: Counter "tracer_process_requested_bytes_total" ["pid", "comm", "operation"]
        "Bytes that its calls asked to map, to unmap, to give back at once (purge) or when memory is short (lazy_free)."
    // Control groups.
    CGROUP: Info "tracer_cgroup_info" ["cgroup", "runtime", "container", "pod", "unit"]
        "A control group: what its path tells of."
    CGROUP_PROCESSES: Gauge "tracer_cgroup_processes" ["cgroup"]
        "Processes in it that the filters let pass."
    CGROUP_VM: Gauge "tracer_cgroup_virtual_memory_bytes" ["cgroup"]
        "Their VmSize in sum."
    CGROUP_RSS: Gauge "tracer_cgroup_resident_memory_bytes" ["cgroup"]
        "Their RSS in sum; memory that processes share counts in each."
    CGROUP_GROWTH: Gauge "tracer_cgroup_growth_bytes" ["cgroup"]
        "Their growth in sum."
    CGROUP_RETAINED: Gauge "tracer_cgroup_retained_bytes" ["cgroup"]
        "Address space given back and kept, of those where it is known."
    CGROUP_CALLS: Counter "tracer_cgroup_calls_total" ["cgroup"]
        "Calls that change their address spaces, since the group is named."
    CGROUP_FAILED_CALLS: Counter "tracer_cgroup_failed_calls_total" ["cgroup"]
        "Failed calls among them."
    CGROUP_REQUESTED: Counter "tracer_cgroup_requested_bytes_total" ["cgroup", "operation"]
        "Bytes that these calls asked to map, to unmap, to give back at once (purge) or when memory is short (lazy_free)."
    CGROUPS_UNNAMED: Gauge "tracer_cgroups_unnamed" []
        "Control groups that have no series of their own: they are in sum under cgroup=\"other\"."
    // Allocators and reasons.
    ALLOCATOR_PROCESSES: Gauge "tracer_allocator_processes" ["allocator"]
        "Processes that contain it; a process counts for each of its allocators."
    ALLOCATOR_VM: Gauge "tracer_allocator_virtual_memory_bytes" ["allocator"]
        "Address space that is its own."
    ALLOCATOR_RESERVED: Gauge "tracer_allocator_reserved_bytes" ["allocator"]
        "What of it is not accessible."
    ALLOCATOR_RETAINED: Gauge "tracer_allocator_retained_bytes" ["allocator"]
        "What of it was given back and kept, of those processes where it is known."
    REASON_PROCESSES: Gauge "tracer_reason_processes" ["reason"]
        "Processes of at least the least size that were given this reason for their VmSize."
    REASON_BYTES: Gauge "tracer_reason_virtual_memory_bytes" ["reason"]
        "What the reason accounts for in them."
    // How far to trust it.
    COVERAGE: Gauge "tracer_coverage_processes" ["state"]
        "Tasks of the host by what was done with them; see docs/serve.md for the states."
    SNAPSHOTS: Counter "tracer_snapshots_total" []
        "Maps of processes that were read."
    SNAPSHOT_SECONDS: Counter "tracer_snapshot_cpu_seconds_total" []
        "Processor time that reading them took."
    OBJECT_FILES: Counter "tracer_object_files_read_total" []
        "Object files that were read for what they tell of allocators."
    COUNTED: Gauge "tracer_counted_processes" []
        "Processes in the kernel side's table of counts."
    COUNTED_MAX: Gauge "tracer_counted_processes_max" []
        "Processes that this table has room for."
    EVICTIONS: Counter "tracer_evictions_total" []
        "Processes that it let go of to make room for others."
    UNCOUNTED: Counter "tracer_uncounted_calls_total" []
        "Calls that were lost: not counted for want of room."
    PICKS: Counter "tracer_picks_total" []
        "Processes that were picked to be traced call by call, each as often as it was; absent before the first."
    TRACED_EVENTS: Counter "tracer_traced_events_total" []
        "Events of those."
    LOST_EVENTS: Counter "tracer_lost_events_total" []
        "Events of those that were lost."
    PAUSES: Counter "tracer_tracing_pauses_total" []
        "How often tracing them was interrupted to keep to the bound on processor time."
    PAUSED_SECONDS: Counter "tracer_tracing_paused_seconds_total" []
        "How long it was."
    // Itself.
    BUILD: Info "tracer_build_info" ["version", "kernel"]
        "This build, and the kernel it runs on."
    PROBE_ATTACHED: Gauge "tracer_probe_attached" ["probe"]
        "Whether a program is attached in the kernel; /status says why not."
    PROBE_RUNS: Counter "tracer_probe_runs_total" ["probe"]
        "How often it ran; absent unless the kernel measures that."
    PROBE_SECONDS: Counter "tracer_probe_run_seconds_total" ["probe"]
        "How long it ran; absent unless the kernel measures that."
    PUBLISHED: Gauge "tracer_published_timestamp_seconds" []
        "When these figures were put together."
    PUBLISHING: Gauge "tracer_publishing_cpu_seconds" []
        "Processor time that putting them together took."
    RELOAD_OK: Gauge "tracer_config_last_reload_successful" []
        "Whether the settings could be read the last time."
    RELOAD_TIME: Gauge "tracer_config_last_reload_success_timestamp_seconds" []
        "When settings were last taken over."
    CONNECTIONS: Gauge "tracer_http_connections" []
        "Connections of clients."
    REFUSED: Counter "tracer_http_connections_refused_total" []
        "Connections that were turned away or cut off, because there were too many."
    TIMED_OUT: Counter "tracer_http_connections_timed_out_total" []
        "Connections that were cut off, because they were too slow."
    ANSWERS: Counter "tracer_http_answers_total" ["code"]
        "Answers by status code."
    CPU: Counter "process_cpu_seconds_total" []
        "Processor time that tracer used, apart from its programs in the kernel."
    RSS: Gauge "process_resident_memory_bytes" []
        "RSS of tracer."
    VM: Gauge "process_virtual_memory_bytes" []
        "VmSize of tracer."
    STARTED: Gauge "process_start_time_seconds" []
        "When tracer began, since 1970."
    OPEN_FILES: Gauge "process_open_fds" []
        "Files that tracer has open."
    MAX_FILES: Gauge "process_max_fds" []
        "Files that it may have open."
}

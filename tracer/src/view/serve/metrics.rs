//! A digest and what a daemon tells of itself in, an exposition out.

use super::{
    encode::{Exposition, Family, Value, Writer},
    families::*,
    label,
    own::Own,
};
use crate::{
    audit::{
        counts::{CallKind, Sizes},
        export::{Digest, GroupDigest},
        flow::Flow,
        row::{Row, Sums},
    },
    units::{Bytes, Nanos},
};

/// What stands for all that is not named.
const OTHER: &str = "other";

/// Writes all metrics.
#[must_use]
pub fn render(digest: &Digest, own: &Own, exposition: Exposition) -> String {
    let mut page = Page(Writer::new(exposition));
    page.host(digest);
    page.processes(&digest.processes);
    page.groups(digest);
    page.allocators(digest);
    page.reasons(digest);
    page.coverage(digest);
    page.own(own);
    page.0.end()
}

/// A figure of a process, if it is known.
type OfProcess = fn(&Row) -> Option<Value>;
/// A figure of a control group.
type OfGroup = fn(&Sums, &Flow) -> Value;

struct Page(Writer);

impl Page {
    fn plain(&mut self, family: &Family, value: impl Into<Value>) {
        self.0.sample(family, &[], value);
    }

    fn operations(&mut self, family: &Family, labels: &[&str], sizes: &Sizes) {
        for (operation, bytes) in [
            ("map", sizes.mapped),
            ("unmap", sizes.unmapped),
            ("purge", sizes.purged),
            ("lazy_free", sizes.lazily_freed),
        ] {
            let labels = [labels, &[operation]].concat();
            self.0.sample(family, &labels, bytes.0);
        }
    }

    fn host(&mut self, digest: &Digest) {
        let Sums {
            processes,
            vm_size,
            rss,
            growth,
            retained,
            ..
        } = digest.totals;
        self.plain(&HOST_PROCESSES, processes);
        self.plain(&HOST_VM, vm_size.0);
        self.plain(&HOST_RSS, rss.0);
        self.plain(&HOST_GROWTH, growth);
        self.plain(&HOST_RETAINED, retained.0);
        for kind in CallKind::ALL {
            self.0
                .sample(&CALLS, &[kind.name()], digest.host.of(kind).0);
        }
        for kind in CallKind::ALL {
            self.0
                .sample(&FAILED_CALLS, &[kind.name()], digest.host.of(kind).1);
        }
        self.operations(&REQUESTED, &[], &digest.host.sizes);
        if let Some(counting) = digest.counting {
            self.plain(&ENDS, counting.ended);
            self.plain(&EXECUTIONS, counting.executed);
        }
        if let Some(most) = digest.coverage.max_map_count {
            self.plain(&MAPPINGS_LIMIT, most);
        }
    }

    fn processes(&mut self, rows: &[Row]) {
        let names: Vec<[String; 2]> = rows
            .iter()
            .map(|row| [row.pid.to_string(), label::value(&row.comm)])
            .collect();
        let rows: Vec<([&str; 2], &Row)> = names
            .iter()
            .map(|[pid, comm]| [pid.as_str(), comm.as_str()])
            .zip(rows)
            .collect();
        for ([pid, comm], row) in &rows {
            let user = row.user.clone().or(row.uid.map(|uid| uid.to_string()));
            let allocators = row.allocators.iter().map(|found| &*found.name);
            let allocators: Vec<&str> = allocators.collect();
            let labels = [
                pid,
                comm,
                &*label::value(&user.unwrap_or_default()),
                &*label::value(row.cgroup.as_deref().unwrap_or_default()),
                &*label::value(&allocators.join(",")),
                row.reason,
            ];
            self.0.sample(&PROCESS, &labels, 1_u64);
        }
        let sizes: [(&Family, OfProcess); 9] = [
            (&PROCESS_VM, |row| Some(row.vm_size.0.into())),
            (&PROCESS_RSS, |row| Some(row.rss.0.into())),
            (&PROCESS_GROWTH, |row| Some(row.growth.into())),
            (&PROCESS_RETAINED, |row| row.retained.map(bytes)),
            (&PROCESS_RESERVED, |row| row.reserved.map(bytes)),
            (&PROCESS_LAZY_FREE, |row| row.lazy_free.map(bytes)),
            (&PROCESS_MAPPINGS, |row| row.vmas.map(Value::from)),
            (&PROCESS_CALLS, |row| Some(row.calls.into())),
            (&PROCESS_FAILED_CALLS, |row| Some(row.failed_calls.into())),
        ];
        for (family, value) in sizes {
            for (labels, row) in &rows {
                if let Some(value) = value(row) {
                    self.0.sample(family, labels, value);
                }
            }
        }
        for (labels, row) in &rows {
            self.operations(&PROCESS_REQUESTED, labels, &row.asked);
        }
    }

    fn groups(&mut self, digest: &Digest) {
        for GroupDigest { group, .. } in &digest.groups {
            let container = group.container.as_ref();
            let labels = [
                name_of(&group.path),
                container.map_or_else(String::new, |container| container.runtime.name().to_owned()),
                label::value(container.map_or("", |container| &container.id)),
                label::value(group.pod.as_deref().unwrap_or_default()),
                label::value(group.unit.as_deref().unwrap_or_default()),
            ];
            self.0
                .sample(&CGROUP, &labels.each_ref().map(String::as_str), 1_u64);
        }
        let mut rows: Vec<(String, Sums, Flow)> = digest
            .groups
            .iter()
            .map(|group| (name_of(&group.group.path), group.sums, group.flow))
            .collect();
        let (sums, flow, unnamed) = digest.other_groups;
        rows.push((OTHER.to_owned(), sums, flow));
        let figures: [(&Family, OfGroup); 7] = [
            (&CGROUP_PROCESSES, |sums, _| sums.processes.into()),
            (&CGROUP_VM, |sums, _| bytes(sums.vm_size)),
            (&CGROUP_RSS, |sums, _| bytes(sums.rss)),
            (&CGROUP_GROWTH, |sums, _| sums.growth.into()),
            (&CGROUP_RETAINED, |sums, _| bytes(sums.retained)),
            (&CGROUP_CALLS, |_, flow| flow.calls.into()),
            (&CGROUP_FAILED_CALLS, |_, flow| flow.failed.into()),
        ];
        for (family, value) in figures {
            for (group, sums, flow) in &rows {
                self.0.sample(family, &[group], value(sums, flow));
            }
        }
        for (group, _, flow) in &rows {
            let sizes = Sizes {
                mapped: flow.mapped,
                unmapped: flow.unmapped,
                purged: flow.purged,
                lazily_freed: flow.lazily_freed,
            };
            self.operations(&CGROUP_REQUESTED, &[group], &sizes);
        }
        self.plain(&CGROUPS_UNNAMED, count(unnamed));
    }

    fn allocators(&mut self, digest: &Digest) {
        let totals: Vec<_> = digest
            .allocators
            .iter()
            .map(|total| (label::value(&total.allocator), total))
            .collect();
        for (name, total) in &totals {
            self.0
                .sample(&ALLOCATOR_PROCESSES, &[name], total.processes);
        }
        for (name, total) in &totals {
            self.0.sample(&ALLOCATOR_VM, &[name], total.bytes.0);
        }
        for (name, total) in &totals {
            self.0
                .sample(&ALLOCATOR_RESERVED, &[name], total.reserved.0);
        }
        for (name, total) in &totals {
            self.0
                .sample(&ALLOCATOR_RETAINED, &[name], total.retained.0);
        }
    }

    fn reasons(&mut self, digest: &Digest) {
        for total in &digest.reasons {
            self.0
                .sample(&REASON_PROCESSES, &[total.reason], total.processes);
        }
        for total in &digest.reasons {
            self.0.sample(&REASON_BYTES, &[total.reason], total.bytes.0);
        }
    }

    fn coverage(&mut self, digest: &Digest) {
        let coverage = &digest.coverage;
        for (state, processes) in [
            ("user", coverage.processes),
            ("kernel_thread", coverage.kernel_threads),
            ("zombie", coverage.zombies),
            ("of_32_bits", coverage.of_32_bits),
            ("below_min_size", coverage.below_min_size),
            ("unreadable", coverage.unreadable),
            ("judged", coverage.judged),
            ("waiting", coverage.waiting),
            ("traced", coverage.traced),
        ] {
            self.0.sample(&COVERAGE, &[state], processes);
        }
        self.plain(&SNAPSHOTS, coverage.snapshots);
        self.plain(&SNAPSHOT_SECONDS, seconds(coverage.snapshots_ns));
        self.plain(&OBJECT_FILES, coverage.files);
        if let Some(counting) = digest.counting {
            self.plain(&COUNTED, counting.present);
            self.plain(&COUNTED_MAX, counting.room);
            self.plain(&EVICTIONS, counting.evicted);
            self.plain(&UNCOUNTED, counting.refused);
        }
        if let Some(tracing) = digest.tracing {
            self.plain(&PICKS, tracing.processes);
            self.plain(&TRACED_EVENTS, tracing.events);
            self.plain(&LOST_EVENTS, tracing.lost);
            self.plain(&PAUSES, tracing.pauses);
            self.plain(&PAUSED_SECONDS, seconds(tracing.paused_ns));
        }
    }

    fn own(&mut self, own: &Own) {
        let kernel = label::value(&own.kernel);
        self.0.sample(&BUILD, &[own.version, &kernel], 1_u64);
        for probe in own.probes.iter().filter(|probe| probe.needed) {
            self.0
                .sample(&PROBE_ATTACHED, &[&probe.name], u64::from(probe.attached));
        }
        let measured = || own.probes.iter().filter_map(|p| Some((&p.name, p.runs?)));
        for (name, (runs, _)) in measured() {
            self.0.sample(&PROBE_RUNS, &[name], runs);
        }
        for (name, (_, Nanos(nanos))) in measured() {
            self.0.sample(&PROBE_SECONDS, &[name], seconds(nanos));
        }
        self.plain(&PUBLISHED, own.published_seconds);
        self.plain(&PUBLISHING, seconds(own.publishing_ns));
        self.plain(&RELOAD_OK, u64::from(own.reload.error.is_none()));
        self.plain(&RELOAD_TIME, own.reload.success_seconds);
        self.plain(&CONNECTIONS, own.requests.open);
        self.plain(&REFUSED, own.requests.refused);
        self.plain(&TIMED_OUT, own.requests.timed_out);
        for (code, answers) in &own.requests.answers {
            self.0.sample(&ANSWERS, &[&code.to_string()], *answers);
        }
        self.plain(&CPU, seconds(own.cpu_ns));
        self.plain(&RSS, own.rss.0);
        self.plain(&VM, own.vm_size.0);
        self.plain(&STARTED, own.started_seconds);
        self.plain(&OPEN_FILES, own.open_files);
        if let Some(most) = own.open_files_limit {
            self.plain(&MAX_FILES, most);
        }
    }
}

/// A control group's label. One without a path is where nothing is known.
fn name_of(path: &str) -> String {
    match path {
        "" => "unknown".to_owned(),
        path => label::value(path),
    }
}

fn bytes(bytes: Bytes) -> Value {
    bytes.0.into()
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Nanoseconds as seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "half a microsecond after a hundred days is no loss"
)]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

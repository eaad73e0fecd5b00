//! Sums over processes: rows and what allocators own in, totals out.

use std::collections::BTreeMap;

use super::{
    judgement::Owned,
    row::{AllocatorTotal, GroupTotal, Row, Sums, Totals},
};
use crate::units::Bytes;

/// Adds up rows as they are made.
#[derive(Debug, Default)]
pub struct Adding {
    all: Sums,
    groups: BTreeMap<String, GroupTotal>,
    allocators: BTreeMap<String, AllocatorTotal>,
}

impl Adding {
    /// Adds a process and what its allocators own.
    pub fn add(&mut self, row: &Row, owned: &[Owned]) {
        add(&mut self.all, row);
        if let Some(group) = &row.group {
            if !self.groups.contains_key(&group.path) {
                let total = GroupTotal {
                    cgroup: group.path.clone(),
                    group: group.clone(),
                    sums: Sums::default(),
                };
                self.groups.insert(group.path.clone(), total);
            }
            if let Some(total) = self.groups.get_mut(&group.path) {
                add(&mut total.sums, row);
            }
        }
        for owned in owned {
            let total = self
                .allocators
                .entry(owned.allocator.clone())
                .or_insert_with(|| AllocatorTotal {
                    allocator: owned.allocator.clone(),
                    processes: 0,
                    bytes: Bytes(0),
                    reserved: Bytes(0),
                    retained: Bytes(0),
                });
            total.processes += 1;
            total.bytes += owned.bytes;
            total.reserved += owned.reserved;
            total.retained += owned.retained.unwrap_or_default();
        }
    }

    /// The totals.
    #[must_use]
    pub fn totals(self) -> Totals {
        let mut by_cgroup: Vec<_> = self.groups.into_values().collect();
        by_cgroup.sort_by_key(|total| std::cmp::Reverse(total.sums.vm_size));
        let mut by_allocator: Vec<_> = self.allocators.into_values().collect();
        by_allocator.sort_by_key(|total| std::cmp::Reverse((total.bytes, total.processes)));
        Totals {
            all: self.all,
            by_cgroup,
            by_allocator,
        }
    }
}

fn add(sums: &mut Sums, row: &Row) {
    sums.processes += 1;
    sums.vm_size += row.vm_size;
    sums.rss += row.rss;
    sums.growth = sums.growth.saturating_add(row.growth);
    sums.purged += row.purged;
    sums.retained += row.retained.unwrap_or_default();
    sums.calls += row.calls;
    sums.calls_per_second += row.calls_per_second;
}

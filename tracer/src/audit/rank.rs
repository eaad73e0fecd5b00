//! Which processes are told of, and in which order.

use super::{row::Row, sample::Who};
use crate::units::{Bytes, Pid};

/// By what rows are ranked, largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// VmSize.
    VmSize,
    /// RSS.
    Rss,
    /// What of VmSize is not in memory.
    #[default]
    Gap,
    /// Growth of VmSize.
    Growth,
    /// Address space given back and kept.
    Retained,
    /// Given back by advice.
    Purged,
    /// Calls per second.
    Calls,
    /// Mappings.
    Vmas,
}

/// Which processes are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Its name: with `*` at either end as a part of it.
    pub comm: Option<String>,
    /// Its user, by id or name.
    pub user: Option<String>,
    /// A part of the path of its control group.
    pub cgroup: Option<String>,
    /// Only this one.
    pub pid: Option<Pid>,
}

impl Filter {
    /// Whether it lets everything pass.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a process is asked for. One of whom nothing is known yet is not, where that
    /// matters.
    #[must_use]
    pub fn passes(&self, pid: Pid, comm: &str, who: Option<&Who>) -> bool {
        let known = |fits: &dyn Fn(&Who) -> bool| who.is_some_and(fits);
        self.pid.is_none_or(|wanted| wanted == pid)
            && self
                .comm
                .as_deref()
                .is_none_or(|pattern| matches(pattern, comm))
            && self
                .user
                .as_deref()
                .is_none_or(|user| known(&|who| is_user(user, who)))
            && self
                .cgroup
                .as_deref()
                .is_none_or(|part| known(&|who| who.group.path.contains(part)))
    }
}

fn is_user(wanted: &str, who: &Who) -> bool {
    who.user.as_deref() == Some(wanted) || wanted.parse() == Ok(who.uid)
}

fn matches(pattern: &str, comm: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(rest), Some(_)) => comm.contains(rest.strip_suffix('*').unwrap_or(rest)),
        (Some(end), None) => comm.ends_with(end),
        (None, Some(beginning)) => comm.starts_with(beginning),
        (None, None) => comm == pattern,
    }
}

/// Ranks rows and keeps the first `most`.
pub fn rank(rows: &mut Vec<Row>, sort: Sort, most: Option<usize>) {
    rows.sort_by(|one, other| {
        let order = match sort {
            Sort::Calls => other.calls_per_second.total_cmp(&one.calls_per_second),
            Sort::Growth => other.growth.cmp(&one.growth),
            _ => amount(other, sort).cmp(&amount(one, sort)),
        };
        let next = || other.gap.cmp(&one.gap);
        order.then_with(next).then(one.pid.cmp(&other.pid))
    });
    rows.truncate(most.unwrap_or(usize::MAX));
}

fn amount(row: &Row, sort: Sort) -> u64 {
    match sort {
        Sort::VmSize => row.vm_size.0,
        Sort::Rss => row.rss.0,
        Sort::Retained => row.retained.map_or(0, |Bytes(bytes)| bytes),
        Sort::Purged => row.purged.0,
        Sort::Vmas => row.vmas.unwrap_or(0),
        Sort::Gap | Sort::Growth | Sort::Calls => row.gap.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::group::Group;

    #[test]
    fn names_are_matched_whole_or_by_a_part() {
        assert!(matches("nginx", "nginx") && !matches("nginx", "nginx-1"));
        assert!(matches("nginx*", "nginx-1") && !matches("nginx*", "my-nginx"));
        assert!(matches("*nginx", "my-nginx") && !matches("*nginx", "nginx-1"));
        assert!(matches("*gin*", "nginx") && matches("*", "anything"));
    }

    #[test]
    fn users_go_by_name_or_id() {
        let who = Who {
            uid: 33,
            user: Some("www-data".to_owned()),
            group: Group::of_path("/system.slice/nginx.service"),
            ..Who::default()
        };
        let filter = |user: &str| Filter {
            user: Some(user.to_owned()),
            ..Filter::default()
        };
        let passes = |filter: &Filter| filter.passes(Pid(1), "nginx", Some(&who));
        assert!(passes(&filter("33")) && passes(&filter("www-data")));
        assert!(!passes(&filter("root")));
        // Of whom nothing is known.
        assert!(!filter("33").passes(Pid(1), "nginx", None));
        let cgroup = Filter {
            cgroup: Some("nginx.service".to_owned()),
            ..Filter::default()
        };
        assert!(passes(&cgroup) && Filter::default().passes(Pid(1), "", None));
    }
}

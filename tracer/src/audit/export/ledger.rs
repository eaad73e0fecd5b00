//! Counters of a bounded number of control groups: what was done since the last edition in, sums
//! that only grow out.
//!
//! Groups come and go, and only the largest are named. A counter must not fall, and what is moved
//! from one to another would look as if it were done again. So each flow is added to exactly one
//! sum, once, and stays there: to its group's, if that was named in the edition before and is in
//! this one, else to that of the others. A group that is named for the first time begins at nothing.
//! So the increases of all sums, as a reader of each edition sees them, are what was done.

use std::collections::BTreeMap;

use crate::audit::flow::Flow;

/// The sums.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    named: BTreeMap<String, Flow>,
    others: Flow,
}

impl Ledger {
    /// Adds what was done since this was last called; from now on these groups are named.
    ///
    /// One that is not named any more is forgotten: if it comes back it begins at nothing, which
    /// readers of counters take for a restart.
    pub fn turn<'a>(
        &mut self,
        flows: &BTreeMap<String, Flow>,
        named: impl IntoIterator<Item = &'a str>,
    ) {
        let mut before = std::mem::take(&mut self.named);
        for group in named {
            let sum = before.remove(group).map(|mut sum| {
                sum += flows.get(group).copied().unwrap_or_default();
                sum
            });
            let is_new = sum.is_none();
            self.named.insert(group.to_owned(), sum.unwrap_or_default());
            if is_new && let Some(flow) = flows.get(group) {
                self.others += *flow;
            }
        }
        let of_others = flows
            .iter()
            .filter(|(group, _)| !self.named.contains_key(*group));
        for (_, flow) in of_others {
            self.others += *flow;
        }
    }

    /// The sum of a group that is named.
    #[must_use]
    pub fn of(&self, group: &str) -> Flow {
        self.named.get(group).copied().unwrap_or_default()
    }

    /// The sum of all others.
    #[must_use]
    pub const fn others(&self) -> Flow {
        self.others
    }

    /// Whether a group is named.
    #[must_use]
    pub fn names(&self, group: &str) -> bool {
        self.named.contains_key(group)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const GROUPS: [&str; 4] = ["/a", "/b", "/c", "/d"];

    fn calls(calls: u64) -> Flow {
        Flow {
            calls,
            ..Flow::default()
        }
    }

    /// What a server that scrapes each edition makes of a series: a fall is a restart.
    #[derive(Default)]
    struct Series {
        last: Option<u64>,
        increase: u64,
    }

    impl Series {
        fn scrape(&mut self, value: u64) {
            if let Some(last) = self.last {
                self.increase += if value < last { value } else { value - last };
            }
            self.last = Some(value);
        }
    }

    proptest! {
        #[test]
        fn increases_are_what_was_done(
            turns in vec((vec(0_u64..100, 4), vec(any::<bool>(), 4)), 1..40)
        ) {
            let mut ledger = Ledger::default();
            let mut series: BTreeMap<&str, Series> = BTreeMap::new();
            series.entry("others").or_default().scrape(0);
            let mut done = 0;
            for (flows, named) in turns {
                done += flows.iter().sum::<u64>();
                let flows: BTreeMap<String, Flow> = GROUPS
                    .iter()
                    .zip(flows)
                    .map(|(group, flow)| ((*group).to_owned(), calls(flow)))
                    .collect();
                let named: Vec<&str> = GROUPS
                    .into_iter()
                    .zip(named)
                    .filter_map(|(group, named)| named.then_some(group))
                    .collect();
                let before = ledger.clone();
                ledger.turn(&flows, named.iter().copied());
                for group in named {
                    prop_assert!(ledger.of(group).calls >= before.of(group).calls);
                    series.entry(group).or_default().scrape(ledger.of(group).calls);
                }
                prop_assert!(ledger.others().calls >= before.others().calls);
                series.entry("others").or_default().scrape(ledger.others().calls);
            }
            let seen: u64 = series.values().map(|series| series.increase).sum();
            prop_assert_eq!(seen, done);
        }
    }

    #[test]
    fn a_group_that_is_named_anew_begins_at_nothing() {
        let mut ledger = Ledger::default();
        let flows = BTreeMap::from([("/a".to_owned(), calls(5))]);
        ledger.turn(&flows, ["/a"]);
        assert_eq!((ledger.of("/a").calls, ledger.others().calls), (0, 5));
        ledger.turn(&flows, ["/a"]);
        assert_eq!((ledger.of("/a").calls, ledger.others().calls), (5, 5));
        ledger.turn(&flows, []);
        assert!(!ledger.names("/a"));
        ledger.turn(&flows, ["/a"]);
        assert_eq!((ledger.of("/a").calls, ledger.others().calls), (0, 15));
    }
}

//! All that happened, in its order, and its story for people.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::record::{Record, What};

/// All that happened, in the order of its times; what happened at one time keeps the order in which it was added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Record>", into = "Vec<Record>")]
pub struct History {
    records: Vec<Record>,
}

impl History {
    /// Puts records of any number of sources into one order.
    pub fn new(mut records: Vec<Record>) -> Self {
        records.sort_by_key(|record| record.at_ms);
        Self { records }
    }

    /// The records, oldest first.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Every unit that is named.
    pub fn units(&self) -> BTreeSet<&str> {
        self.records.iter().filter_map(|record| record.unit.as_deref()).collect()
    }

    /// What concerns one unit, oldest first.
    pub fn of<'a>(&'a self, unit: &'a str) -> impl Iterator<Item = &'a Record> {
        let concerns = move |record: &&Record| record.unit.as_deref().is_none_or(|of| of == unit);
        self.records.iter().filter(concerns)
    }

    /// When the last thing happened.
    pub fn ends_at_ms(&self) -> u64 {
        self.records.last().map_or(0, |record| record.at_ms)
    }

    /// What happened from `from_ms` to `to_ms`, a line each; reads that found the same are one line.
    pub fn story(&self, from_ms: u64, to_ms: u64) -> String {
        let mut story = String::new();
        let mut same: Option<(&Record, u64, u64)> = None;
        let told = self.records.iter().filter(|of| (from_ms..=to_ms).contains(&of.at_ms));
        for record in told {
            match &mut same {
                Some((first, last_ms, times)) if found_the_same(first, record) => {
                    (*last_ms, *times) = (record.at_ms, *times + 1);
                }
                _ => {
                    story.extend(same.map(line));
                    same = Some((record, record.at_ms, 1));
                }
            }
        }
        story.extend(same.map(line));
        story
    }

    /// What happened within `margin_ms` of a moment.
    pub fn story_around(&self, at_ms: u64, margin_ms: u64) -> String {
        self.story(at_ms.saturating_sub(margin_ms), at_ms.saturating_add(margin_ms))
    }
}

impl From<Vec<Record>> for History {
    fn from(records: Vec<Record>) -> Self {
        Self::new(records)
    }
}

impl From<History> for Vec<Record> {
    fn from(history: History) -> Self {
        history.records
    }
}

fn found_the_same(first: &Record, next: &Record) -> bool {
    match (&first.what, &next.what) {
        (What::Reader(one), What::Reader(other)) => {
            first.unit == next.unit && one.found == other.found
        }
        _ => false,
    }
}

fn line((first, last_ms, times): (&Record, u64, u64)) -> String {
    match times {
        1 => format!("{first}\n"),
        _ => format!("{first}, {times} times within {} ms\n", last_ms - first.at_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ClusterEvent, Found, Read};

    fn read(at_ms: u64, fingerprint: &str) -> Record {
        let found = Found::Token(fingerprint.to_owned());
        Record::read("u", Read { asked_at_ms: at_ms - 1, answered_at_ms: at_ms, found })
    }

    #[test]
    fn sources_are_merged_in_the_order_of_time() {
        let claimed = |at_ms, fence| {
            let (worker, epoch) = ("w".to_owned(), String::new());
            Record::cluster(at_ms, "u", ClusterEvent::Claimed { fence, worker, epoch })
        };
        let history = History::new(vec![claimed(5, 1), claimed(9, 3), read(7, "a"), claimed(5, 2)]);
        let times: Vec<_> = history.records().iter().map(|record| record.at_ms).collect();
        assert_eq!(times, [5, 5, 7, 9]);
        assert_eq!(history.records()[1], claimed(5, 2));
        assert_eq!(history.ends_at_ms(), 9);
    }

    #[test]
    fn a_story_tells_what_happened_around_a_moment_and_reads_but_once() {
        let fault = |what: &str| ClusterEvent::Fault { what: what.to_owned() };
        let history = History::new(vec![
            Record::everywhere(1_000, fault("long before")),
            read(4_010, "aa"),
            read(4_020, "aa"),
            read(4_030, "aa"),
            Record::everywhere(4_500, fault("a pause")),
            read(5_000, "bb"),
            read(9_000, "bb"),
        ]);
        assert_eq!(
            history.story_around(4_500, 500),
            "   4.010 s  u  reader: found aa, 3 times within 20 ms\n   \
             4.500 s  cluster: -- a pause --\n   5.000 s  u  reader: found bb\n"
        );
    }

    #[test]
    fn a_unit_is_concerned_by_its_own_records_and_by_those_of_all() {
        let lost = |unit: &str| Record::cluster(1, unit, ClusterEvent::Lost);
        let all = Record::everywhere(2, ClusterEvent::EpochChanged);
        let history = History::new(vec![lost("a"), lost("b"), all.clone()]);
        assert_eq!(history.units().into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(history.of("a").collect::<Vec<_>>(), [&lost("a"), &all]);
    }
}

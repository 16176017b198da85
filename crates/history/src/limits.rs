//! What is allowed, and when a violation is excused.

use serde::{Deserialize, Serialize};

use crate::violation::Kind;

/// The bounds of a history. Without a change they allow what the rule allows, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// What happened before is not judged: the start of a cluster.
    pub from_ms: u64,
    /// How far the clocks of the three sources may differ.
    pub skew_ms: u64,
    /// How long after its death a token may still be found: no time at all, unless the upstream kills the published one
    /// together with issuing the next, whose reply then takes its way.
    pub dead_ms: u64,
    /// How long the published token may lag behind the newest although nothing says so: the way of a reply.
    pub stale_ms: u64,
    /// The same if it was somebody outside of the cluster who fetched the newest; none: as long as it takes.
    pub foreign_ms: Option<u64>,
    /// How long doubt may stand.
    pub doubt_ms: u64,
    /// The most calls from one settled token to the next; none: as many as it takes.
    pub calls_per_refresh: Option<usize>,
    /// The history must end settled: the newest token published, no doubt, nothing under way.
    pub must_end_settled: bool,
    /// When a violation is excused.
    pub excused: Vec<Window>,
}

/// A time in which violations are excused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its begin.
    pub from_ms: u64,
    /// Its end, which belongs to it.
    pub to_ms: u64,
    /// What is excused; empty: everything.
    pub kinds: Vec<Kind>,
    /// Why: a case that is open by nature, or what was done to the cluster.
    pub reason: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            from_ms: 0,
            skew_ms: 5,
            dead_ms: 0,
            stale_ms: 1_000,
            foreign_ms: None,
            doubt_ms: 60_000,
            calls_per_refresh: None,
            must_end_settled: true,
            excused: Vec::new(),
        }
    }
}

impl Limits {
    /// Excuses `kinds` (none named: all) from `from_ms` to `to_ms`.
    #[must_use]
    pub fn excuse(
        mut self,
        from_ms: u64,
        to_ms: u64,
        kinds: &[Kind],
        reason: impl Into<String>,
    ) -> Self {
        let (kinds, reason) = (kinds.to_vec(), reason.into());
        self.excused.push(Window { from_ms, to_ms, kinds, reason });
        self
    }

    /// Whether a violation of this kind at this time counts for nothing.
    pub(crate) fn excuses(&self, kind: Kind, at_ms: u64) -> bool {
        at_ms < self.from_ms
            || self.windows(kind).any(|of| (of.from_ms..=of.to_ms).contains(&at_ms))
    }

    /// How much of the time from `from_ms` to `to_ms` is not excused.
    pub(crate) fn unexcused_ms(&self, kind: Kind, from_ms: u64, to_ms: u64) -> u64 {
        let mut from_ms = from_ms.max(self.from_ms);
        let mut windows: Vec<_> = self.windows(kind).map(|of| (of.from_ms, of.to_ms)).collect();
        windows.sort_unstable();
        let mut counted_ms = 0;
        for (begin_ms, end_ms) in windows {
            counted_ms += begin_ms.min(to_ms).saturating_sub(from_ms);
            from_ms = from_ms.max(end_ms);
        }
        counted_ms + to_ms.saturating_sub(from_ms)
    }

    fn windows(&self, kind: Kind) -> impl Iterator<Item = &Window> {
        self.excused.iter().filter(move |of| of.kinds.is_empty() || of.kinds.contains(&kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_excuses_its_kinds_within_its_bounds() {
        let limits = Limits { from_ms: 10, ..Limits::default() };
        let limits = limits.excuse(100, 200, &[Kind::DeadRead], "why").excuse(300, 400, &[], "all");
        for (kind, at_ms, expected) in [
            (Kind::DeadRead, 9, true),
            (Kind::DeadRead, 10, false),
            (Kind::DeadRead, 99, false),
            (Kind::DeadRead, 100, true),
            (Kind::DeadRead, 200, true),
            (Kind::DeadRead, 201, false),
            (Kind::AbsentRead, 150, false),
            (Kind::AbsentRead, 350, true),
        ] {
            assert_eq!(limits.excuses(kind, at_ms), expected, "{kind:?} at {at_ms}");
        }
    }

    #[test]
    fn only_time_outside_of_all_windows_counts() {
        let limits = Limits::default()
            .excuse(100, 200, &[], "one")
            .excuse(150, 250, &[], "overlapping")
            .excuse(400, 500, &[], "apart");
        assert_eq!(limits.unexcused_ms(Kind::Stale, 0, 1_000), 100 + 150 + 500);
        assert_eq!(limits.unexcused_ms(Kind::Stale, 120, 240), 0);
        assert_eq!(limits.unexcused_ms(Kind::Stale, 180, 300), 50);
        assert_eq!(limits.unexcused_ms(Kind::Stale, 260, 300), 40);
    }
}

//! Calls that are under way at once are processed in no known order: their tokens must be doubted.

use std::collections::BTreeMap;

use crate::check::Case;
use crate::record::{Processed, UpstreamEvent, What};
use crate::standing::Standing;
use crate::violation::{Kind, Violation};

/// A call, from when it was received to when nothing can come of it any more.
#[derive(Clone, Copy)]
struct Call {
    number: u64,
    from_ms: u64,
    to_ms: Option<u64>,
    /// It brought no new token, so nothing can be confused with it.
    is_harmless: bool,
}

pub(super) fn check(case: &Case<'_>, found: &mut Vec<Violation>) {
    let doubted = doubted(case);
    let mut earlier: Vec<Call> = Vec::new();
    for call in calls(case) {
        let to_ms = |call: &Call| call.to_ms.unwrap_or(case.ends_at_ms);
        earlier.retain(|one| to_ms(one) > call.from_ms);
        for one in &earlier {
            let last_ms = to_ms(one).max(to_ms(&call)).saturating_add(case.limits.doubt_ms);
            let is_doubted =
                |(from_ms, until_ms): &(u64, u64)| *from_ms <= last_ms && *until_ms >= call.from_ms;
            let is_known = case.limits.excuses(Kind::Overlap, call.from_ms);
            if !doubted.iter().any(is_doubted) && !is_known {
                let (first, second) = (one.number, call.number);
                let what = format!("calls {first} and {second} overlapped, and nobody doubted it");
                let end_ms = to_ms(one).min(to_ms(&call));
                found.push(case.violation(Kind::Overlap, call.from_ms, end_ms, what));
            }
        }
        earlier.push(call);
    }
}

/// The calls that may have brought a token, in the order in which they were received.
fn calls(case: &Case<'_>) -> Vec<Call> {
    let mut calls: BTreeMap<u64, Call> = BTreeMap::new();
    for record in &case.records {
        let What::Upstream(event) = &record.what else { continue };
        match event {
            UpstreamEvent::Received { call, .. } => {
                let (from_ms, to_ms, is_harmless) = (record.at_ms, None, false);
                calls.insert(*call, Call { number: *call, from_ms, to_ms, is_harmless });
            }
            UpstreamEvent::Processed { call, outcome } => {
                if let Some(call) = calls.get_mut(call) {
                    call.to_ms = Some(record.at_ms);
                    call.is_harmless = !matches!(outcome, Processed::Issued(_));
                }
            }
            UpstreamEvent::Answered { call } | UpstreamEvent::Unanswered { call } => {
                if let Some(call) = calls.get_mut(call) {
                    call.to_ms = Some(record.at_ms);
                }
            }
            UpstreamEvent::Foreign { .. } => {}
        }
    }
    let mut calls: Vec<_> = calls.into_values().filter(|call| !call.is_harmless).collect();
    calls.sort_by_key(|call| call.from_ms);
    calls
}

/// When there was doubt.
fn doubted(case: &Case<'_>) -> Vec<(u64, u64)> {
    let mut standing = Standing::default();
    let mut doubted = Vec::new();
    for record in &case.records {
        let was = standing.is_doubted();
        standing.follow(record);
        if was && !standing.is_doubted() {
            doubted.push((standing.doubted_from_ms, record.at_ms));
        }
    }
    if standing.is_doubted() {
        doubted.push((standing.doubted_from_ms, u64::MAX));
    }
    doubted
}

#[cfg(test)]
mod tests {
    use crate::check::testing::Tale;
    use crate::violation::Kind;

    /// The second call is received when the first one is processed at `first_ends_ms`, or before.
    fn two(first_ends_ms: u64, between: impl FnOnce(Tale) -> Tale) -> Tale {
        let tale = Tale::new().claimed(100, 1).received(110, 1);
        let tale = between(tale.claimed(190, 2).received(200, 2));
        let tale = tale.processed(250, 2, "bb", 9_000).committed(260, 2, "bb");
        tale.processed(first_ends_ms, 1, "aa", 9_000)
    }

    #[test]
    fn overlapping_calls_that_nobody_doubts_are_a_violation() {
        two(230, |tale| tale).check(&[Kind::Overlap]);
        two(200, |tale| tale).check(&[]);
    }

    #[test]
    fn overlapping_calls_that_are_doubted_are_none() {
        two(230, |tale| tale).doubted(300, "late").settled(400, "bb").check(&[]);
        // Raised before, and standing until later.
        let raised = |tale: Tale| tale.doubted(205, "takeover");
        two(230, raised).settled(400, "bb").check(&[]);
    }

    #[test]
    fn doubt_that_was_settled_before_the_second_call_does_not_count() {
        let tale = Tale::new().claimed(100, 1).received(110, 1).doubted(120, "unknown");
        let tale = tale.settled(180, "").claimed(190, 2).received(200, 2);
        let tale = tale.processed(230, 1, "aa", 9_000).processed(250, 2, "bb", 9_000);
        tale.committed(260, 2, "bb").check(&[Kind::Overlap]);
    }

    #[test]
    fn a_call_that_brought_nothing_confuses_nobody() {
        let tale = Tale::new().claimed(100, 1).received(110, 1).claimed(190, 2).received(200, 2);
        let tale = tale.processed_as_refused(230, 1).processed(250, 2, "bb", 9_000);
        tale.committed(260, 2, "bb").check(&[]);
    }
}

//! A claim sends one request at most.

use std::collections::HashSet;

use crate::check::Case;
use crate::record::{ClusterEvent, UpstreamEvent, What};
use crate::violation::{Kind, Violation};

pub(super) fn check(case: &Case<'_>, found: &mut Vec<Violation>) {
    let released: HashSet<u64> =
        case.records.iter().filter_map(|record| released(&record.what)).collect();
    let mut claims: Vec<u64> = case
        .records
        .iter()
        .filter_map(|record| match &record.what {
            // Whoever said that nothing was sent must not have sent before, either.
            What::Cluster(ClusterEvent::Claimed { fence, .. }) if !released.contains(fence) => {
                Some(record.at_ms)
            }
            _ => None,
        })
        .collect();
    claims.reverse();
    let mut may_be_sent = 0_u64;
    let mut is_deaf = false;
    let mut sent = HashSet::new();
    for record in &case.records {
        let what = match &record.what {
            What::Cluster(ClusterEvent::Deaf) => {
                is_deaf = true;
                None
            }
            What::Cluster(ClusterEvent::Heard) => {
                // A claim that nobody heard of may still be about to send.
                (is_deaf, may_be_sent) = (false, may_be_sent + 1);
                None
            }
            What::Upstream(UpstreamEvent::Received { call, fence }) => {
                while claims
                    .last()
                    .is_some_and(|at_ms| *at_ms <= record.at_ms + case.limits.skew_ms)
                {
                    claims.pop();
                    may_be_sent += 1;
                }
                let again = fence.is_some_and(|fence| !sent.insert(fence));
                let unclaimed = may_be_sent == 0 && !is_deaf;
                may_be_sent = may_be_sent.saturating_sub(1);
                if again {
                    Some(format!("call {call} was a second one under fence {}", fence.unwrap_or(0)))
                } else {
                    unclaimed.then(|| format!("call {call} was sent, and no claim allowed it"))
                }
            }
            _ => None,
        };
        if let Some(what) = what
            && !case.limits.excuses(Kind::Sent, record.at_ms)
        {
            found.push(case.violation(Kind::Sent, record.at_ms, record.at_ms, what));
        }
    }
}

const fn released(what: &What) -> Option<u64> {
    match what {
        What::Cluster(ClusterEvent::Released { fence }) => Some(*fence),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::Tale;
    use crate::record::{ClusterEvent, UpstreamEvent};
    use crate::violation::Kind;

    /// One claim, one call, settled.
    fn one() -> Tale {
        Tale::new().claimed(10, 1).issued(20, 1, "aa", 9_000).committed(30, 1, "aa")
    }

    #[test]
    fn more_calls_than_claims_are_a_violation() {
        one().check(&[]);
        one().refused_call(40, 2).check(&[Kind::Sent]);
    }

    #[test]
    fn a_claim_that_says_that_it_sent_nothing_allows_no_call() {
        let tale = one().claimed(50, 2);
        tale.clone().refused_call(60, 2).refused(70, 2).check(&[]);
        tale.refused_call(60, 2).released(70, 2).check(&[Kind::Sent]);
    }

    #[test]
    fn a_claim_that_is_heard_a_moment_after_its_call_counts() {
        one().refused_call(50, 2).claimed(54, 2).refused(55, 2).check(&[]);
        one().refused_call(50, 2).claimed(56, 2).refused(57, 2).check(&[Kind::Sent]);
    }

    #[test]
    fn while_the_cluster_is_not_heard_claims_may_be_missed() {
        let tale = one().everywhere(40, ClusterEvent::Deaf).refused_call(50, 2).refused_call(51, 3);
        let tale = tale.everywhere(60, ClusterEvent::Heard).refused_call(70, 4);
        tale.check(&[]);
        tale.refused_call(71, 5).check(&[Kind::Sent]);
    }

    #[test]
    fn a_second_call_under_one_fence_is_a_violation_however_many_claims_there_are() {
        let received = |call, fence| UpstreamEvent::Received { call, fence: Some(fence) };
        let tale = Tale::new().claimed(1, 1).refused(2, 1).claimed(3, 2).refused(4, 2);
        let tale =
            tale.upstream(5, received(1, 1)).upstream(6, UpstreamEvent::Unanswered { call: 1 });
        let ended = UpstreamEvent::Unanswered { call: 2 };
        tale.clone().upstream(7, received(2, 2)).upstream(8, ended.clone()).check(&[]);
        tale.upstream(7, received(2, 1)).upstream(8, ended).check(&[Kind::Sent]);
    }
}

//! A fence is given once and never goes back, within an epoch; neither does that of the published token.

use std::collections::HashMap;

use crate::check::Case;
use crate::record::{ClusterEvent, What};
use crate::violation::{Kind, Violation};

pub(super) fn check(case: &Case<'_>, found: &mut Vec<Violation>) {
    // An epoch without a name is the one since the last change.
    let mut changes = 0_u64;
    let mut highest: HashMap<(String, u64), u64> = HashMap::new();
    let mut epoch_of: HashMap<u64, (String, u64)> = HashMap::new();
    let mut highest_published: HashMap<((String, u64), u64), u64> = HashMap::new();
    for record in &case.records {
        let what = match &record.what {
            What::Cluster(ClusterEvent::EpochChanged) => {
                changes += 1;
                None
            }
            // What is adopted is published in the step that gives the fence.
            What::Cluster(
                ClusterEvent::Claimed { fence, worker, epoch }
                | ClusterEvent::Adopted { fence, worker, epoch, .. },
            ) => {
                let nameless = if epoch.is_empty() { changes } else { 0 };
                let epoch = (epoch.clone(), nameless);
                epoch_of.insert(*fence, epoch.clone());
                if matches!(record.what, What::Cluster(ClusterEvent::Adopted { .. })) {
                    let last = highest_published.entry((epoch.clone(), changes)).or_default();
                    *last = (*last).max(*fence);
                }
                let last = highest.entry(epoch).or_default();
                let what = (*fence <= *last).then(|| {
                    let again = if fence == last { "given again" } else { "given" };
                    format!("fence {fence} was {again} to {worker} after {last}")
                });
                *last = (*last).max(*fence);
                what
            }
            What::Cluster(ClusterEvent::Committed { fence, fingerprint, .. }) => {
                epoch_of.get(fence).and_then(|epoch| {
                    // A claim of an older epoch may be what a restored store still waits for.
                    let last = highest_published.entry((epoch.clone(), changes)).or_default();
                    let what = (*fence < *last).then(|| {
                        format!("{fingerprint} was published under fence {fence} after {last}")
                    });
                    *last = (*last).max(*fence);
                    what
                })
            }
            _ => None,
        };
        if let Some(what) = what
            && !case.limits.excuses(Kind::Fence, record.at_ms)
        {
            found.push(case.violation(Kind::Fence, record.at_ms, record.at_ms, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::Tale;
    use crate::record::ClusterEvent;
    use crate::violation::Kind;

    #[test]
    fn a_fence_that_is_given_again_or_goes_back_within_an_epoch_is_a_violation() {
        Tale::new().claimed(1, 7).released(2, 7).claimed(3, 7).check(&[Kind::Fence]);
        Tale::new().claimed(1, 7).released(2, 7).claimed(3, 6).check(&[Kind::Fence]);
        Tale::new().claimed(1, 7).released(2, 7).claimed(3, 8).check(&[]);
    }

    #[test]
    fn another_epoch_counts_anew() {
        let tale = Tale::new().claimed(1, 7).released(2, 7);
        tale.clone().everywhere(3, ClusterEvent::EpochChanged).claimed(4, 6).check(&[]);
        let in_epoch = |tale: Tale, at_ms, fence, epoch: &str| {
            let (worker, epoch) = ("w".to_owned(), epoch.to_owned());
            tale.cluster(at_ms, ClusterEvent::Claimed { fence, worker, epoch })
        };
        // Two primaries at once, each with fences of its own.
        let split = in_epoch(in_epoch(tale, 3, 9, "e1"), 4, 8, "e2");
        in_epoch(split.clone(), 5, 10, "e1").check(&[]);
        in_epoch(split, 5, 8, "e1").check(&[Kind::Fence]);
    }

    #[test]
    fn a_token_published_under_an_older_fence_is_a_violation() {
        let tale = Tale::new().claimed(1, 1).claimed(2, 2);
        let tale = tale.issued(3, 1, "aa", 9_000).issued(4, 2, "bb", 9_000);
        tale.clone().committed(5, 1, "aa").committed(6, 2, "bb").check(&[]);
        let back = tale.committed(5, 2, "bb").committed(6, 1, "aa").settled(7, "bb");
        back.check(&[Kind::Fence]);
    }

    #[test]
    fn a_token_that_is_adopted_takes_a_fence_and_is_published_under_it() {
        let adopted = |tale: Tale, at_ms, fence| {
            let (worker, epoch) = ("w".to_owned(), String::new());
            let (generation, fingerprint) = (fence, "bb".to_owned());
            let adopted = ClusterEvent::Adopted { fence, worker, epoch, generation, fingerprint };
            tale.foreign(2, "bb").cluster(at_ms, adopted)
        };
        let tale = Tale::new().claimed(1, 1).issued(1, 1, "aa", 9_000);
        adopted(tale.clone(), 3, 2).settled(4, "bb").check(&[]);
        adopted(tale.clone(), 3, 1).settled(4, "bb").check(&[Kind::Fence]);
        adopted(tale, 3, 2).committed(4, 1, "aa").settled(5, "bb").check(&[Kind::Fence]);
    }

    #[test]
    fn a_store_that_lost_the_later_claim_may_publish_under_the_older_one() {
        let tale = Tale::new().claimed(1, 1).claimed(2, 2);
        let tale = tale.issued(3, 1, "aa", 9_000).issued(4, 2, "bb", 9_000).committed(5, 2, "bb");
        let lost = tale.everywhere(6, ClusterEvent::EpochChanged).committed(7, 1, "aa");
        lost.settled(8, "bb").check(&[]);
    }
}

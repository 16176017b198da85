//! Who wakes first: a rendezvous hash of unit and worker spreads the units over the living workers without any assignment.
//!
//! The order only keeps workers from all trying at once; whether a claim is granted never depends on it.

use sha2::{Digest, Sha256};

use crate::credential::Unit;

/// The place of `identity` in the unit's order among `living`, the first being 0. One that is not among them comes last.
pub fn rank(unit: &Unit, identity: &str, living: &[String]) -> u32 {
    if !living.iter().any(|other| other == identity) {
        return u32::try_from(living.len()).unwrap_or(u32::MAX);
    }
    let mine = weight(unit, identity);
    let before = living.iter().filter(|other| weight(unit, other) > mine).count();
    u32::try_from(before).unwrap_or(u32::MAX)
}

fn weight(unit: &Unit, identity: &str) -> [u8; 8] {
    let mut hash = Sha256::new();
    for part in [unit.id.as_str(), unit.kind.as_str(), identity] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    std::array::from_fn(|i| digest[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(id: &str) -> Unit {
        Unit::access_token(id.parse().unwrap())
    }

    #[test]
    fn every_unit_has_one_first_worker_and_the_load_is_spread() {
        let living: Vec<String> = (0..4).map(|i| format!("w{i}#1")).collect();
        let mut first = [0; 4];
        for n in 0..1_000 {
            let ranks: Vec<u32> =
                living.iter().map(|w| rank(&unit(&format!("wx{n}")), w, &living)).collect();
            let mut sorted = ranks.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3]);
            first[ranks.iter().position(|r| *r == 0).unwrap()] += 1;
        }
        assert!(first.iter().all(|n| (180..320).contains(n)), "{first:?}");
    }

    #[test]
    fn a_worker_that_ends_changes_only_the_order_behind_it() {
        let all: Vec<String> = (0..5).map(|i| format!("w{i}#1")).collect();
        let fewer: Vec<String> = all.iter().filter(|w| *w != "w2#1").cloned().collect();
        for n in 0..100 {
            let unit = unit(&format!("wx{n}"));
            for w in &fewer {
                let (before, after) = (rank(&unit, w, &all), rank(&unit, w, &fewer));
                assert_eq!(after, before - u32::from(rank(&unit, "w2#1", &all) < before));
            }
        }
    }

    #[test]
    fn a_worker_that_is_not_known_to_live_comes_last() {
        assert_eq!(rank(&unit("wx1"), "me#1", &["a#1".to_owned(), "b#1".to_owned()]), 2);
    }
}

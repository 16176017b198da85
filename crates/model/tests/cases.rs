//! What must hold does in every case that is explored with each change, and no rule can be taken away.

#![expect(clippy::unwrap_used, reason = "a broken fixture must stop the test at once")]

use zhongkong_model::cases::{Case, Size, all};
use zhongkong_model::explore::{Outcome, explore};

/// Explored on one thread, the story of what breaks is the shortest.
fn explored(case: &Case) -> Outcome {
    explore(case, 1).unwrap()
}

fn small() -> impl Iterator<Item = Case> {
    all().into_iter().filter(|case| case.size == Size::Small)
}

#[test]
fn what_must_hold_does_and_what_must_happen_happens() {
    for case in small().filter(|case| case.broken.is_none()) {
        let Outcome { broken, missing, .. } = explored(&case);
        assert_eq!(broken, None, "{}", case.name);
        assert_eq!(missing, Vec::<&str>::new(), "never happened in {}", case.name);
    }
}

#[test]
fn each_rule_that_is_taken_away_breaks_a_promise() {
    for case in small() {
        let Some(promise) = case.broken else { continue };
        let (broken, story) = explored(&case).broken.unwrap_or_default();
        assert_eq!(broken, promise.about(), "{}: {story}", case.name);
    }
}

//! What a refresh costs: calls from one settled token to the next.

use crate::check::Case;
use crate::record::{UpstreamEvent, What};
use crate::standing::Standing;
use crate::violation::{Kind, Violation};

pub(super) fn check(case: &Case<'_>, found: &mut Vec<Violation>) {
    let Some(most) = case.limits.calls_per_refresh else { return };
    let mut standing = Standing::default();
    let mut calls: Vec<u64> = Vec::new();
    let mut judge = |calls: &mut Vec<u64>, to_ms: u64| {
        if calls.len() > most {
            let what = format!("one refresh took {} calls, {most} are allowed", calls.len());
            found.push(case.violation(Kind::Calls, calls[0], to_ms, what));
        }
        calls.clear();
    };
    for record in &case.records {
        let was_owed = standing.is_owed();
        standing.follow(record);
        if was_owed && !standing.is_owed() {
            judge(&mut calls, record.at_ms);
        }
        if matches!(record.what, What::Upstream(UpstreamEvent::Received { .. }))
            && !case.limits.excuses(Kind::Calls, record.at_ms)
        {
            calls.push(record.at_ms);
        }
    }
    judge(&mut calls, case.ends_at_ms);
}

#[cfg(test)]
mod tests {
    use crate::check::testing::Tale;
    use crate::limits::Limits;
    use crate::violation::Kind;

    /// A refresh whose first two calls were refused.
    fn three_calls() -> Tale {
        let mut tale = Tale::new();
        for (at_ms, call) in [(100, 1), (200, 2)] {
            tale =
                tale.claimed(at_ms, call).refused_call(at_ms + 10, call).refused(at_ms + 20, call);
        }
        tale.claimed(300, 3).issued(310, 3, "aa", 9_000).committed(320, 3, "aa")
    }

    #[test]
    fn more_calls_than_a_refresh_may_take_are_a_violation() {
        let most = |calls| Limits { calls_per_refresh: Some(calls), ..Limits::default() };
        assert_eq!(three_calls().violations(&most(3)), []);
        let found = three_calls().violations(&most(2));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind, found[0].at_ms, found[0].to_ms), (Kind::Calls, 110, 320));
        // The next refresh counts anew, and calls within a window do not count.
        let next =
            three_calls().claimed(400, 4).issued(410, 4, "bb", 9_000).committed(420, 4, "bb");
        assert_eq!(next.violations(&most(3)), []);
        let excused = most(2).excuse(210, 210, &[Kind::Calls], "refused on purpose");
        assert_eq!(three_calls().violations(&excused), []);
    }
}

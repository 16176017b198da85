//! The published token is the newest or in doubt, doubt is settled, and so is the end.

use std::collections::HashSet;

use crate::check::Case;
use crate::record::{ClusterEvent, Record, Seconds, UpstreamEvent, What};
use crate::standing::Standing;
use crate::tokens::issued;
use crate::violation::{Kind, Violation};

/// What is followed from record to record.
#[derive(Default)]
struct Course<'a> {
    standing: Standing,
    newest: Option<(&'a str, bool)>,
    under_way: HashSet<u64>,
    is_deaf: bool,
    /// Since when the published token is not the newest, and nothing says so.
    stale_from_ms: Option<u64>,
}

pub(super) fn check(case: &Case<'_>, found: &mut Vec<Violation>) {
    let mut course = Course::default();
    for record in &case.records {
        let before = course.standing.clone();
        let newest = course.newest;
        course.follow(record);
        if before.is_doubted() && !course.standing.is_doubted() {
            doubt(case, &before, record.at_ms, found);
        }
        match (course.stale_from_ms, course.is_stale()) {
            (None, true) => course.stale_from_ms = Some(record.at_ms),
            (Some(from_ms), false) => {
                course.stale_from_ms = None;
                stale(case, &before, newest, from_ms, record.at_ms, found);
            }
            _ => {}
        }
    }
    let Course { standing, newest, stale_from_ms, .. } = &course;
    if let Some(from_ms) = stale_from_ms {
        stale(case, standing, *newest, *from_ms, case.ends_at_ms, found);
    }
    if standing.is_doubted() {
        doubt(case, standing, case.ends_at_ms, found);
    }
    end(case, &course, found);
}

impl<'a> Course<'a> {
    fn follow(&mut self, record: &'a Record) {
        self.standing.follow(record);
        if let Some((life, is_foreign)) = issued(record) {
            self.newest = Some((&life.fingerprint, is_foreign));
        }
        match &record.what {
            What::Upstream(UpstreamEvent::Received { call, .. }) => {
                self.under_way.insert(*call);
            }
            What::Upstream(
                UpstreamEvent::Processed { call, .. }
                | UpstreamEvent::Answered { call }
                | UpstreamEvent::Unanswered { call },
            ) => {
                self.under_way.remove(call);
            }
            What::Cluster(ClusterEvent::Deaf) => self.is_deaf = true,
            What::Cluster(ClusterEvent::Heard) => self.is_deaf = false,
            _ => {}
        }
    }

    fn is_newest(&self) -> bool {
        self.standing.published.as_deref() == self.newest.map(|(fingerprint, _)| fingerprint)
    }

    fn is_stale(&self) -> bool {
        self.standing.published.is_some()
            && !self.is_newest()
            && !self.standing.is_owed()
            && !self.is_deaf
    }
}

fn stale(
    case: &Case<'_>,
    standing: &Standing,
    newest: Option<(&str, bool)>,
    from_ms: u64,
    to_ms: u64,
    found: &mut Vec<Violation>,
) {
    let (newest, is_foreign) = newest.unwrap_or(("nothing", false));
    let limit_ms = if is_foreign { case.limits.foreign_ms } else { Some(case.limits.stale_ms) };
    let counted_ms = case.limits.unexcused_ms(Kind::Stale, from_ms, to_ms);
    if limit_ms.is_some_and(|limit_ms| counted_ms > limit_ms) {
        let published = standing.published.as_deref().unwrap_or("nothing");
        let what =
            format!("{published} was published although {newest} was newer, and nobody doubted it");
        found.push(case.violation(Kind::Stale, from_ms, to_ms, what));
    }
}

fn doubt(case: &Case<'_>, standing: &Standing, to_ms: u64, found: &mut Vec<Violation>) {
    let from_ms = standing.doubted_from_ms;
    if case.limits.unexcused_ms(Kind::Doubt, from_ms, to_ms) > case.limits.doubt_ms {
        let what = format!(
            "the doubt {} stood longer than {}",
            standing.reasons,
            Seconds(case.limits.doubt_ms)
        );
        found.push(case.violation(Kind::Doubt, from_ms, to_ms, what));
    }
}

fn end(case: &Case<'_>, course: &Course<'_>, found: &mut Vec<Violation>) {
    let at_ms = case.ends_at_ms;
    if !case.limits.must_end_settled || case.limits.excuses(Kind::End, at_ms) {
        return;
    }
    let Course { standing, newest, under_way, .. } = course;
    // Nobody tells the cluster of a token that somebody else fetched.
    let is_foreign = newest.is_some_and(|(_, is_foreign)| is_foreign);
    let unnoticed = is_foreign && case.limits.foreign_ms.is_none();
    let newest = newest.map_or("nothing", |(fingerprint, _)| fingerprint);
    let published = standing.published.as_deref().unwrap_or("nothing");
    let mut faults = Vec::new();
    if !course.is_newest() && !unnoticed {
        faults.push(format!("{published} is published, {newest} is the newest"));
    }
    if standing.is_doubted() {
        faults.push(format!("there is doubt: {}", standing.reasons));
    }
    if standing.claim_is_open {
        faults.push("a claim is open".to_owned());
    }
    if !under_way.is_empty() {
        faults.push(format!("{} calls are under way", under_way.len()));
    }
    if !faults.is_empty() {
        let what = format!("the end is not settled: {}", faults.join("; "));
        found.push(case.violation(Kind::End, at_ms, at_ms, what));
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::Tale;
    use crate::limits::Limits;
    use crate::record::ClusterEvent;
    use crate::violation::Kind;

    fn published() -> Tale {
        Tale::new().claimed(100, 1).issued(110, 1, "aa", 99_000).committed(120, 1, "aa")
    }

    /// `bb` is issued at 1 s, and nobody in the cluster says anything.
    fn unnoticed() -> Tale {
        let tale = Tale::new().claimed(90, 1).claimed(100, 2).issued(110, 1, "aa", 99_000);
        tale.committed(120, 2, "aa").issued(1_000, 2, "bb", 99_000)
    }

    #[test]
    fn a_token_that_is_not_the_newest_for_too_long_is_a_violation() {
        unnoticed().settled(2_000, "bb").check(&[]);
        unnoticed().settled(2_001, "bb").check(&[Kind::Stale]);
        // To the end.
        let found = unnoticed().at(2_001).violations(&Limits::default());
        let kinds: Vec<_> = found.iter().map(|violation| violation.kind).collect();
        assert_eq!(kinds, [Kind::Stale, Kind::End], "{found:?}");
    }

    #[test]
    fn while_something_says_that_a_refresh_is_owed_it_is_none() {
        let lagging = || {
            let tale = published().claimed(900, 2);
            tale.issued(1_000, 2, "bb", 99_000)
        };
        lagging().settled(5_000, "bb").check(&[]);
        lagging().refused(1_100, 2).settled(5_000, "bb").check(&[]);
        lagging().doubted(1_100, "unknown").settled(5_000, "bb").check(&[]);
        let another = unnoticed().everywhere(1_500, ClusterEvent::EpochChanged);
        another.settled(5_000, "bb").check(&[]);
    }

    #[test]
    fn what_somebody_else_fetched_has_a_limit_of_its_own() {
        let tale = published().foreign(1_000, "ff").at(8_000);
        tale.check(&[]);
        let limits = Limits { foreign_ms: Some(6_999), ..Limits::default() };
        let kinds: Vec<_> = tale.violations(&limits).iter().map(|of| of.kind).collect();
        assert_eq!(kinds, [Kind::Stale, Kind::End]);
        let marked = ClusterEvent::Marked { by: "reported".to_owned() };
        let tale = published().foreign(1_000, "ff").cluster(7_900, marked).claimed(8_100, 2);
        let tale = tale.issued(8_200, 2, "bb", 99_000).committed(8_300, 2, "bb");
        assert_eq!(tale.violations(&limits), []);
    }

    #[test]
    fn doubt_that_stands_too_long_is_a_violation() {
        let limits = Limits { doubt_ms: 3_000, ..Limits::default() };
        let doubted = |until_ms| published().doubted(1_000, "unknown").settled(until_ms, "aa");
        assert_eq!(doubted(4_000).violations(&limits), []);
        let found = doubted(4_001).violations(&limits);
        assert_eq!(
            found[0].to_string(),
            "u, from 1.000 s to 4.001 s: the doubt unknown stood longer than 3.000 s"
        );
        let excused = limits.excuse(2_000, 3_000, &[Kind::Doubt], "no upstream");
        assert_eq!(doubted(5_000).violations(&excused), []);
        assert_eq!(doubted(5_001).violations(&excused).len(), 1);
    }

    #[test]
    fn an_end_in_the_middle_is_a_violation() {
        let faults = |tale: Tale| {
            let found = tale.violations(&Limits::default());
            found.into_iter().map(|violation| violation.to_string()).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(faults(published()), "");
        let not_settled = |what: &str| format!("the end is not settled: {what}");
        let doubted = published().doubted(130, "unknown");
        assert!(faults(doubted.clone()).ends_with(&not_settled("there is doubt: unknown")));
        let claimed = published().claimed(130, 2);
        assert!(faults(claimed.clone()).ends_with(&not_settled("a claim is open")));
        let under_way = claimed.received(140, 2).refused(150, 2);
        assert!(faults(under_way).ends_with(&not_settled("1 calls are under way")));
        let absent = published().settled(130, "");
        let expected = not_settled("nothing is published, aa is the newest");
        assert!(faults(absent).ends_with(&expected));
        doubted.check(&[]);
    }

    #[test]
    fn while_the_cluster_is_not_heard_a_token_may_have_been_doubted() {
        let tale = Tale::new().claimed(90, 1).claimed(100, 2).issued(110, 1, "aa", 99_000);
        let tale = tale.committed(120, 2, "aa").everywhere(500, ClusterEvent::Deaf);
        let tale = tale.issued(1_000, 2, "bb", 99_000).everywhere(4_000, ClusterEvent::Heard);
        tale.clone().settled(4_001, "bb").check(&[]);
        tale.settled(5_001, "bb").check(&[Kind::Stale]);
    }
}

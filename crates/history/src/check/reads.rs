//! Readers never find a dead token, and never none while one is valid.

use crate::check::Case;
use crate::record::{ClusterEvent, Found, Read, Seconds, What};
use crate::violation::{Kind, Violation};

/// Bad reads that followed each other and found the same.
struct Run {
    kind: Kind,
    about: String,
    from_ms: u64,
    to_ms: u64,
    reads: u64,
}

pub(super) fn check(case: &Case<'_>, found: &mut Vec<Violation>) {
    // What was published so far, and when.
    let mut published: Vec<(u64, &str)> = Vec::new();
    let mut run: Option<Run> = None;
    for record in &case.records {
        match &record.what {
            What::Cluster(
                ClusterEvent::Committed { fingerprint, .. }
                | ClusterEvent::Adopted { fingerprint, .. }
                | ClusterEvent::Seen { published: Some(fingerprint), .. },
            ) => published.push((record.at_ms, fingerprint)),
            What::Reader(read) => {
                let bad = judge(case, &published, read)
                    .filter(|(kind, _)| !case.limits.excuses(*kind, read.asked_at_ms));
                match (&mut run, bad) {
                    (Some(run), Some((kind, about))) if run.kind == kind && run.about == about => {
                        run.to_ms = read.answered_at_ms;
                        run.reads += 1;
                    }
                    (_, bad) => {
                        end(case, run.take(), found);
                        run = bad.map(|(kind, about)| Run {
                            kind,
                            about,
                            from_ms: read.asked_at_ms,
                            to_ms: read.answered_at_ms,
                            reads: 1,
                        });
                    }
                }
            }
            _ => {}
        }
    }
    end(case, run, found);
}

fn end(case: &Case<'_>, run: Option<Run>, found: &mut Vec<Violation>) {
    let Some(Run { kind, about, from_ms, to_ms, reads }) = run else { return };
    let times = if reads == 1 { String::new() } else { format!(", {reads} times") };
    let what = format!("a reader found {about}{times}");
    found.push(case.violation(kind, from_ms, to_ms, what));
}

/// What is wrong with a read. A token that dies between the question and the answer is nobody's fault.
fn judge(case: &Case<'_>, published: &[(u64, &str)], read: &Read) -> Option<(Kind, String)> {
    match &read.found {
        Found::NoAnswer => None,
        Found::Token(fingerprint) => match case.tokens.get(fingerprint) {
            None => Some((Kind::DeadRead, format!("{fingerprint}, which was never issued"))),
            Some(life) if read.asked_at_ms >= life.dies_at_ms + case.limits.dead_ms => {
                let (died, why) = (Seconds(life.dies_at_ms), &life.why);
                Some((Kind::DeadRead, format!("{fingerprint}, which had died at {died} ({why})")))
            }
            Some(_) => None,
        },
        Found::Absent => {
            let before =
                |at_ms: &u64| at_ms.saturating_add(case.limits.skew_ms) <= read.asked_at_ms;
            let mut to_be_found = published.iter().rev().filter(|(at_ms, _)| before(at_ms));
            let lives = |fingerprint: &str| {
                let life = case.tokens.get(fingerprint);
                life.is_some_and(|life| life.dies_at_ms > read.answered_at_ms)
            };
            if let Some((_, valid)) = to_be_found.clone().find(|(_, token)| lives(token)) {
                Some((Kind::AbsentRead, format!("no token, while {valid} was valid")))
            } else {
                let last = to_be_found.next()?.1;
                Some((Kind::NoToken, format!("no token, and none was valid after {last}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::Tale;
    use crate::limits::Limits;
    use crate::record::Found;
    use crate::violation::Kind;

    /// A token that is published at 1 s and dies at 9 s.
    fn published() -> Tale {
        Tale::new().claimed(900, 1).issued(950, 1, "aa", 9_000).committed(1_000, 1, "aa")
    }

    fn token(fingerprint: &str) -> Found {
        Found::Token(fingerprint.to_owned())
    }

    #[test]
    fn a_token_that_was_dead_when_it_was_asked_for_is_a_dead_read() {
        let tale = published().read(8_990, 8_999, token("aa")).read(9_000, 9_001, token("aa"));
        let found = tale.read(9_010, 9_011, token("aa")).violations(&Limits::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].kind, found[0].at_ms, found[0].to_ms), (Kind::DeadRead, 9_000, 9_011));
        assert_eq!(
            found[0].to_string(),
            "u, from 9.000 s to 9.011 s: a reader found aa, which had died at 9.000 s (expired), 2 times"
        );
    }

    #[test]
    fn a_token_may_be_found_dead_for_as_long_as_is_allowed() {
        let limits = Limits { dead_ms: 100, ..Limits::default() };
        let tale = published().read(9_099, 9_100, token("aa"));
        assert_eq!(tale.violations(&limits), []);
        assert_eq!(tale.read(9_100, 9_101, token("aa")).violations(&limits).len(), 1);
    }

    #[test]
    fn a_token_that_dies_between_question_and_answer_is_no_dead_read() {
        published().read(8_999, 9_050, token("aa")).check(&[]);
    }

    #[test]
    fn a_token_that_was_never_issued_is_a_dead_read() {
        published().read(2_000, 2_001, token("zz")).check(&[Kind::DeadRead]);
    }

    #[test]
    fn no_token_while_one_is_valid_is_an_absent_read() {
        published().read(2_000, 2_001, Found::Absent).check(&[Kind::AbsentRead]);
        // Two tokens: the older one is valid still, whatever became of the newer one.
        let tale = published().claimed(2_000, 2).issued(2_010, 2, "bb", 3_000);
        let tale = tale.committed(2_020, 2, "bb");
        tale.read(4_000, 4_001, Found::Absent).check(&[Kind::AbsentRead]);
    }

    #[test]
    fn no_token_where_none_is_valid_is_told_apart() {
        published().read(9_500, 9_501, Found::Absent).check(&[Kind::NoToken]);
    }

    #[test]
    fn before_the_first_commit_or_without_an_answer_there_is_nothing_to_be_found() {
        published()
            .read(990, 1_010, Found::Absent)
            .read(2_000, 2_001, Found::NoAnswer)
            // The token may have died on the way.
            .read(8_999, 9_001, token("aa"))
            .check(&[]);
    }

    #[test]
    fn a_bad_read_within_a_window_is_excused_and_one_beside_it_is_not() {
        let limits = Limits::default().excuse(2_000, 3_000, &[Kind::AbsentRead], "emptied");
        let tale = published().read(2_000, 2_001, Found::Absent).read(3_000, 3_001, Found::Absent);
        assert_eq!(tale.violations(&limits), []);
        let found = tale.read(3_001, 3_002, Found::Absent).violations(&limits);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].at_ms, 3_001);
    }
}

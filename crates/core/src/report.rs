//! Report: a reader's word, or the probe's, that the current token is rejected ("passive refresh").
//!
//! A report of an older token changes nothing. One of the current token is checked with the provider's probe before it
//! costs a refresh; then the token is marked, and a commit of another token clears the mark. Marks that come again and
//! again are served further and further apart: somebody else may be refreshing with the same secret.

use crate::doubt::Doubt;
use crate::state::{Mark, State};
use crate::token::Fingerprint;

/// The instant at which WeChat's day begins, as the offset of +08:00 from UTC, in milliseconds.
pub const DAY_OFFSET_MS: u64 = 8 * 3_600_000;
/// One day, in milliseconds.
pub const DAY_MS: u64 = 24 * 3_600_000;
/// The upstream's day may begin a little late: a mark that waits for it waits so much longer, in milliseconds.
pub const AFTER_MIDNIGHT_MS: u64 = 30_000;
/// The longest that spacing grows to while marks repeat, in milliseconds. Twice as long without one, and it is forgotten.
pub const STRAINED_SPACING_MAX_MS: u64 = 600_000;
/// The longest that an answer of the probe holds for further reports: enough for a herd, too little to hide a death.
const ALIVE_HOLDS_MAX_MS: u64 = 1_000;
/// Doublings of the spacing, at most: more than any configured spacing needs to reach its longest.
pub const STRAIN_MAX: u32 = 32;

/// What the provider's probe says of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// The upstream accepts it.
    Alive,
    /// The upstream rejects it.
    Dead,
    /// There is no probe, or it failed.
    CannotTell,
}

/// What speaks against the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A reader's word, and nothing else so far. Whoever says so may probe, and take `probe_ms` for it; 0 if there is no probe.
    Word {
        /// The longest that the probe takes.
        probe_ms: u64,
    },
    /// A reader's word to a worker that lacks the credential: others have to look.
    Hearsay,
    /// A reader's word, and what the probe says to it.
    Checked(Probed),
    /// No reader's: the probe was tried in its own time, and found the token dead.
    Found,
}

/// Word that a token was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRequest {
    /// The rejected token.
    pub fingerprint: Fingerprint,
    /// What speaks against it.
    pub evidence: Evidence,
    /// The unit's spacing.
    pub spacing_ms: u64,
    /// Refreshes a day that reports may cause, unless the probe found the token dead.
    pub budget: u32,
    /// The store's epoch as the worker knows it; empty where the epoch rule is off.
    pub epoch: String,
    /// It may have been recorded before, so that it is no second word about the token.
    pub again: bool,
}

/// What a report came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportAnswer {
    /// Another token is current: use that.
    AlreadyNewer,
    /// The upstream accepts the token.
    StillValid,
    /// A claim is current: its outcome is the answer.
    UnderWay,
    /// The caller is to try the probe, and to say what that says.
    Probe,
    /// Somebody else tries the probe; asked again at `until_ms` at the latest, the answer is there.
    Probing {
        /// When that probe has ended.
        until_ms: u64,
    },
    /// The word is noted: those who have the credential look.
    Noted,
    /// The token is marked, and a refresh owed from `from_ms`.
    Marked {
        /// When it is served.
        from_ms: u64,
        /// Nothing of the cluster's own explains its death: somebody else refreshed. Told once.
        foreign: bool,
    },
}

impl State {
    /// Applies a report at the store's time `now_ms`.
    pub fn report(&mut self, now_ms: u64, request: &ReportRequest) -> ReportAnswer {
        let ReportRequest { fingerprint, evidence, spacing_ms, .. } = request;
        if self.fingerprint.as_ref() != Some(fingerprint) {
            return ReportAnswer::AlreadyNewer;
        }
        if self.claim_is_current(now_ms) {
            return ReportAnswer::UnderWay;
        }
        if self.rejected.is_some() {
            return self.report_of_a_marked(now_ms, request);
        }
        let found = *evidence == Evidence::Found;
        if !found && self.reported.as_ref() != Some(fingerprint) {
            self.reported = Some(fingerprint.clone());
            self.reported_at_ms = now_ms;
        }
        let reported_at_ms = self.reported_at_ms.min(now_ms);
        let insisted =
            !found && !request.again && now_ms >= reported_at_ms.saturating_add(*spacing_ms);
        // What would have to wait for the next day is looked at, however often it was said.
        let look = !insisted || self.is_spent(day_of(now_ms), request.budget);
        match *evidence {
            Evidence::Word { probe_ms } if look && probe_ms > 0 => {
                let holds_ms = alive_holds_ms(*spacing_ms);
                return self.check_first(now_ms, probe_ms, holds_ms);
            }
            Evidence::Hearsay if !insisted => return ReportAnswer::Noted,
            Evidence::Checked(Probed::Alive) => {
                self.lives(now_ms);
                if !insisted {
                    return ReportAnswer::StillValid;
                }
            }
            _ => {}
        }
        self.probing_until_ms = 0;
        let dead = evidence.is_death();
        let foreign = dead && self.doubt_foreign(now_ms, &request.epoch);
        let from_ms = self.mark(now_ms, request);
        ReportAnswer::Marked { from_ms, foreign }
    }

    /// One more report of a token whose mark has its time already.
    fn report_of_a_marked(&mut self, now_ms: u64, request: &ReportRequest) -> ReportAnswer {
        let ReportRequest { evidence, spacing_ms, epoch, .. } = request;
        let dead_from_ms = self.served_from_ms(now_ms, self.strained_spacing_ms(*spacing_ms));
        // What only readers say may have to wait longer than a death: whether it is one is looked at meanwhile.
        let of_no_operator = self.rejected.is_some_and(|mark| !mark.is_an_operators());
        let waits = of_no_operator && self.rejected_from_ms > dead_from_ms;
        let mut foreign = false;
        match *evidence {
            Evidence::Word { probe_ms } if waits && probe_ms > 0 => {
                return self.check_first(now_ms, probe_ms, *spacing_ms);
            }
            Evidence::Hearsay if waits => return ReportAnswer::Noted,
            Evidence::Checked(Probed::Alive) if waits => {
                self.lives(now_ms);
                return ReportAnswer::StillValid;
            }
            _ if evidence.is_death() => {
                self.probing_until_ms = 0;
                foreign = self.doubt_foreign(now_ms, epoch);
                if waits {
                    self.rejected_from_ms = dead_from_ms;
                }
            }
            _ => {}
        }
        ReportAnswer::Marked { from_ms: self.rejected_from_ms, foreign }
    }

    /// A reader that reports a good token must not cost a refresh; and a herd of readers costs one probe, whose answer
    /// holds for `holds_ms`.
    fn check_first(&mut self, now_ms: u64, probe_ms: u64, holds_ms: u64) -> ReportAnswer {
        let answered = self.alive_at_ms > 0 && self.alive_at_ms <= now_ms;
        if answered && now_ms < self.alive_at_ms.saturating_add(holds_ms) {
            return ReportAnswer::StillValid;
        }
        // One that ends further ahead than a probe takes was begun before the clock went back.
        if (now_ms + 1..=now_ms + probe_ms).contains(&self.probing_until_ms) {
            return ReportAnswer::Probing { until_ms: self.probing_until_ms };
        }
        self.probing_until_ms = now_ms + probe_ms;
        ReportAnswer::Probe
    }

    const fn lives(&mut self, now_ms: u64) {
        self.alive_at_ms = now_ms;
        self.probing_until_ms = 0;
    }

    /// The token is dead. Unless something of the cluster's own explains that, somebody else's refresh killed it.
    fn doubt_foreign(&mut self, now_ms: u64, epoch: &str) -> bool {
        let foreign = self.doubt.is_empty() && !self.intent && !self.is_of_another(epoch);
        if foreign {
            // Processed already, so only a claim that is made from now on is sure to be later.
            self.raise(Doubt::Foreign, now_ms, self.drain_ms);
        }
        foreign
    }

    /// Marks the current token. Returns from when the mark is served.
    fn mark(&mut self, now_ms: u64, request: &ReportRequest) -> u64 {
        let ReportRequest { evidence, spacing_ms, budget, .. } = request;
        let day = day_of(now_ms);
        // The next day may have begun already, for a mark that waits for it.
        if self.report_day < day || self.report_day > day + 1 {
            self.report_day = day;
            self.report_count = 0;
        }
        let again = self.marks_again(now_ms, *spacing_ms);
        let counts = *evidence != Evidence::Found && self.usable(now_ms);
        let from_ms = if counts && self.is_spent(day, *budget) && !evidence.is_death() {
            if self.report_day == day {
                self.report_day = day + 1;
                self.report_count = 1;
            }
            (day + 1) * DAY_MS - DAY_OFFSET_MS + AFTER_MIDNIGHT_MS
        } else {
            let one = u32::from(counts && self.report_day == day);
            self.report_count = self.report_count.saturating_add(one);
            self.strain_by(again);
            self.served_from_ms(now_ms, self.strained_spacing_ms(*spacing_ms))
        };
        self.rejected = Some(Mark::Reported);
        self.rejected_from_ms = from_ms;
        from_ms
    }

    /// Notes a mark that no operator made. Returns whether it came soon after another.
    pub(crate) fn marks_again(&mut self, now_ms: u64, spacing_ms: u64) -> bool {
        let again_until_ms = 2 * STRAINED_SPACING_MAX_MS.max(spacing_ms);
        let quiet_from_ms = self.marked_at_ms.min(now_ms).saturating_add(again_until_ms);
        let again = self.marked_at_ms > 0 && now_ms < quiet_from_ms;
        if !again {
            self.strain = 0;
        }
        self.marked_at_ms = now_ms;
        again
    }

    /// Counts a mark that came soon after another.
    pub(crate) fn strain_by(&mut self, again: bool) {
        self.strain = STRAIN_MAX.min(self.strain.saturating_add(u32::from(again)));
    }

    /// How many refreshes reports caused on the day of `now_ms`.
    pub fn reports_today(&self, now_ms: u64) -> u32 {
        if self.report_day == day_of(now_ms) { self.report_count } else { 0 }
    }

    /// Whether reports have caused that many refreshes on `day`.
    const fn is_spent(&self, day: u64, budget: u32) -> bool {
        self.report_day == day + 1 || self.report_day == day && self.report_count >= budget
    }

    /// The spacing, doubled for every mark that came soon after the one before.
    pub(crate) fn strained_spacing_ms(&self, spacing_ms: u64) -> u64 {
        let doubled = spacing_ms.saturating_mul(2_u64.saturating_pow(self.strain.min(STRAIN_MAX)));
        doubled.min(spacing_ms.max(STRAINED_SPACING_MAX_MS))
    }

    /// From when a mark is served: spacing is waited out, unless no usable token is left.
    pub(crate) fn served_from_ms(&self, now_ms: u64, spacing_ms: u64) -> u64 {
        if self.spaced_from_ms == 0 || !self.usable(now_ms) {
            now_ms
        } else {
            now_ms.max(self.spaced_from_ms.min(now_ms).saturating_add(spacing_ms))
        }
    }
}

impl Evidence {
    /// Whether the token is known to be dead.
    const fn is_death(self) -> bool {
        matches!(self, Self::Found | Self::Checked(Probed::Dead))
    }
}

/// How long an answer of the probe that the token lives holds for further reports, in milliseconds.
pub const fn alive_holds_ms(spacing_ms: u64) -> u64 {
    let tenth_ms = spacing_ms / 10;
    if tenth_ms < ALIVE_HOLDS_MAX_MS { tenth_ms } else { ALIVE_HOLDS_MAX_MS }
}

/// The day of +08:00 to which an instant of the store belongs, counted from 1970.
pub const fn day_of(now_ms: u64) -> u64 {
    (now_ms + DAY_OFFSET_MS) / DAY_MS
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const NOW: u64 = 1_795_380_778_000;
    const WORD: Evidence = Evidence::Word { probe_ms: 5_000 };
    const ALIVE: Evidence = Evidence::Checked(Probed::Alive);
    const DEAD: Evidence = Evidence::Checked(Probed::Dead);
    const CANNOT_TELL: Evidence = Evidence::Checked(Probed::CannotTell);

    pub(crate) fn with_a_token() -> State {
        State {
            v: 1,
            fingerprint: Some(Fingerprint::of("T")),
            expires_at_ms: NOW + 3_600_000,
            refresh_at_ms: NOW + 3_000_000,
            spaced_from_ms: NOW - 3_600_000,
            ..State::default()
        }
    }

    fn request(token: &str, evidence: Evidence) -> ReportRequest {
        let fingerprint = Fingerprint::of(token);
        ReportRequest {
            fingerprint,
            evidence,
            spacing_ms: 30_000,
            budget: 2,
            epoch: String::new(),
            again: false,
        }
    }

    const fn marked(from_ms: u64) -> ReportAnswer {
        ReportAnswer::Marked { from_ms, foreign: false }
    }

    /// The next token comes at `at_ms`, as a commit leaves it.
    fn replaced(state: &mut State, at_ms: u64) {
        state.rejected = None;
        state.doubt.clear();
        state.spaced_from_ms = at_ms;
        state.reported = None;
    }

    #[test]
    fn a_report_of_an_older_token_changes_nothing() {
        let mut state = with_a_token();
        let answer = state.report(NOW, &request("T0", DEAD));
        assert_eq!((answer, state), (ReportAnswer::AlreadyNewer, with_a_token()));
    }

    #[test]
    fn three_hundred_reports_of_one_dead_token_are_one_probe_and_one_mark() {
        let mut state = with_a_token();
        assert_eq!(state.report(NOW, &request("T", WORD)), ReportAnswer::Probe);
        for _ in 0..299 {
            let answer = state.report(NOW + 1, &request("T", WORD));
            assert_eq!(answer, ReportAnswer::Probing { until_ms: NOW + 5_000 });
        }
        let answer = state.report(NOW + 90, &request("T", DEAD));
        assert_eq!(answer, ReportAnswer::Marked { from_ms: NOW + 90, foreign: true });
        for _ in 0..299 {
            assert_eq!(state.report(NOW + 91, &request("T", WORD)), marked(NOW + 90));
        }
        assert_eq!(state.report_count, 1);
    }

    #[test]
    fn a_probe_that_nobody_answers_for_is_tried_by_the_next() {
        let mut state = with_a_token();
        assert_eq!(state.report(NOW, &request("T", WORD)), ReportAnswer::Probe);
        assert_eq!(state.report(NOW + 5_000, &request("T", WORD)), ReportAnswer::Probe);
    }

    #[test]
    fn without_a_probe_a_readers_word_is_enough() {
        let mut state = with_a_token();
        let word = request("T", Evidence::Word { probe_ms: 0 });
        assert_eq!(state.report(NOW, &word), marked(NOW));
        assert!(state.doubt.is_empty());
        let mut state = with_a_token();
        assert_eq!(state.report(NOW, &request("T", CANNOT_TELL)), marked(NOW));
    }

    #[test]
    fn a_token_that_the_upstream_accepts_is_marked_only_if_reported_again_after_the_spacing() {
        let mut state = with_a_token();
        let alive = request("T", ALIVE);
        assert_eq!(state.report(NOW, &alive), ReportAnswer::StillValid);
        assert_eq!(state.report(NOW + 999, &request("T", WORD)), ReportAnswer::StillValid);
        assert_eq!(state.report(NOW + 1_000, &request("T", WORD)), ReportAnswer::Probe);
        assert_eq!(state.report(NOW + 29_999, &alive), ReportAnswer::StillValid);
        assert_eq!(state.report(NOW + 30_000, &request("T", WORD)), marked(NOW + 30_000));
    }

    #[test]
    fn a_mark_within_the_spacing_or_past_the_budget_is_served_when_its_time_comes() {
        let mut spaced = State { spaced_from_ms: NOW - 10_000, ..with_a_token() };
        let answer = spaced.report(NOW, &request("T", CANNOT_TELL));
        assert_eq!(answer, marked(NOW + 20_000));

        let day = day_of(NOW);
        let mut spent = State { report_day: day, report_count: 2, ..with_a_token() };
        let answer = spent.report(NOW, &request("T", CANNOT_TELL));
        let midnight_ms = (day + 1) * DAY_MS - DAY_OFFSET_MS + AFTER_MIDNIGHT_MS;
        assert_eq!(answer, marked(midnight_ms));
        // It is the next day's first.
        spent.rejected = None;
        let tomorrow = State { spaced_from_ms: 0, ..spent };
        for (count, expected) in [(1, Some(Mark::Reported)), (2, Some(Mark::Reported))] {
            let mut tomorrow = State { report_count: count, ..tomorrow.clone() };
            tomorrow.report(midnight_ms, &request("T", CANNOT_TELL));
            assert_eq!(tomorrow.rejected, expected);
        }
    }

    #[test]
    fn a_token_that_the_probe_finds_dead_does_not_wait_for_the_next_day() {
        let day = day_of(NOW);
        let spent = || State { report_day: day, report_count: 2, ..with_a_token() };
        let mut dead = spent();
        let answer = dead.report(NOW, &request("T", DEAD));
        assert_eq!(answer, ReportAnswer::Marked { from_ms: NOW, foreign: true });

        // A mark that waits for the next day hides no death: further reports are looked at.
        let mut marked = spent();
        marked.report(NOW, &request("T", CANNOT_TELL));
        assert!(marked.rejected_from_ms > NOW + 60_000);
        assert_eq!(marked.report(NOW + 1, &request("T", WORD)), ReportAnswer::Probe);
        assert_eq!(marked.report(NOW + 2, &request("T", ALIVE)), ReportAnswer::StillValid);
        assert_eq!(marked.report(NOW + 29_999, &request("T", WORD)), ReportAnswer::StillValid);
        assert_eq!(marked.report(NOW + 30_002, &request("T", WORD)), ReportAnswer::Probe);
        let answer = marked.report(NOW + 30_003, &request("T", DEAD));
        assert_eq!(answer, ReportAnswer::Marked { from_ms: NOW + 30_003, foreign: true });
    }

    #[test]
    fn what_a_worker_hears_about_a_credential_that_it_lacks_is_noted_for_others_to_look() {
        let mut state = with_a_token();
        let hearsay = request("T", Evidence::Hearsay);
        assert_eq!(state.report(NOW, &hearsay), ReportAnswer::Noted);
        assert_eq!((&state.reported, state.rejected), (&Some(Fingerprint::of("T")), None));
        let again = ReportRequest { again: true, ..hearsay.clone() };
        assert_eq!(state.report(NOW + 30_000, &again), ReportAnswer::Noted);
        assert_eq!(state.report(NOW + 30_000, &hearsay), marked(NOW + 30_000));
    }

    #[test]
    fn however_often_it_was_said_a_death_is_looked_for_before_the_next_day_is_waited_for() {
        let mut state = with_a_token();
        state.report(NOW, &request("T", ALIVE));
        (state.report_day, state.report_count) = (day_of(NOW), 2);
        assert_eq!(state.report(NOW + 60_000, &request("T", WORD)), ReportAnswer::Probe);
        let answer = state.report(NOW + 60_001, &request("T", DEAD));
        assert_eq!(answer, ReportAnswer::Marked { from_ms: NOW + 60_001, foreign: true });
    }

    #[test]
    fn what_the_probe_finds_by_itself_needs_no_budget_and_does_not_wait_for_the_next_day() {
        let day = day_of(NOW);
        let mut spent = State { report_day: day, report_count: 2, ..with_a_token() };
        spent.report(NOW, &request("T", CANNOT_TELL));
        let answer = spent.report(NOW + 1, &request("T", Evidence::Found));
        assert_eq!(answer, ReportAnswer::Marked { from_ms: NOW + 1, foreign: true });
        // The mark that waited is the next day's first.
        assert_eq!((spent.report_day, spent.report_count), (day + 1, 1));
    }

    #[test]
    fn a_dead_token_is_a_strangers_doing_unless_a_doubt_explains_it() {
        let mut state = with_a_token();
        let answer = state.report(NOW, &request("T", DEAD));
        assert_eq!(answer, ReportAnswer::Marked { from_ms: NOW, foreign: true });
        assert!(state.doubt.contains(Doubt::Foreign) && state.drains_at_ms == NOW);

        let mut doubted = with_a_token();
        doubted.raise(Doubt::Unknown, NOW + 60_000, 60_000);
        assert_eq!(doubted.report(NOW, &request("T", DEAD)), marked(NOW));
        assert!(!doubted.doubt.contains(Doubt::Foreign));

        let mut dead_holder =
            State { intent: true, claimed_at_ms: NOW - 9_000, lease_ms: 8_000, ..with_a_token() };
        assert_eq!(dead_holder.report(NOW, &request("T", DEAD)), marked(NOW));
        let mut of_another = State { epoch: "e1".to_owned(), ..with_a_token() };
        let request = ReportRequest { epoch: "e2".to_owned(), ..request("T", DEAD) };
        assert_eq!(of_another.report(NOW, &request), marked(NOW));
    }

    #[test]
    fn spacing_doubles_up_to_ten_minutes_while_marks_repeat_and_is_forgotten_when_they_stop() {
        let mut state = with_a_token();
        let mut at_ms = NOW;
        for expected_s in [30, 60, 120, 240, 480, 600, 600] {
            state.spaced_from_ms = at_ms;
            let mut word = request("T", CANNOT_TELL);
            word.budget = 100;
            assert_eq!(state.report(at_ms, &word), marked(at_ms + expected_s * 1_000));
            at_ms += expected_s * 1_000;
            replaced(&mut state, at_ms);
        }
        at_ms += 1_200_000;
        let mut word = request("T", CANNOT_TELL);
        word.budget = 100;
        state.spaced_from_ms = at_ms;
        assert_eq!(state.report(at_ms, &word), marked(at_ms + 30_000));
    }

    #[test]
    fn a_report_under_a_current_claim_waits_for_its_outcome() {
        let mut state = with_a_token();
        (state.intent, state.claimed_at_ms, state.lease_ms) = (true, NOW, 8_000);
        assert_eq!(state.report(NOW, &request("T", DEAD)), ReportAnswer::UnderWay);
        assert_eq!(state.rejected, None);
    }
}

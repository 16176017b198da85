//! Report and force: a mark on the current token, which a commit of another token clears.

use crate::outlook::Rules;
use crate::state::{Mark, State};
use crate::token::Fingerprint;

/// The instant at which WeChat's day begins, as the offset of +08:00 from UTC, in milliseconds.
pub const DAY_OFFSET_MS: u64 = 8 * 3_600_000;
/// One day, in milliseconds.
pub const DAY_MS: u64 = 24 * 3_600_000;

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

/// A reader's word that a token was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRequest {
    /// The rejected token.
    pub fingerprint: Fingerprint,
    /// What the probe says of it.
    pub probed: Probed,
    /// The unit's spacing.
    pub spacing_ms: u64,
    /// Refreshes a day that reports may cause.
    pub budget: u32,
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
    /// The token is marked, and a refresh owed from `from_ms`.
    Marked {
        /// When it is served.
        from_ms: u64,
    },
}

impl State {
    /// Applies a report at the store's time `now_ms`.
    pub fn report(&mut self, now_ms: u64, request: &ReportRequest) -> ReportAnswer {
        if self.fingerprint.as_ref() != Some(&request.fingerprint) {
            return ReportAnswer::AlreadyNewer;
        }
        if self.claim_is_current(now_ms) {
            return ReportAnswer::UnderWay;
        }
        if self.rejected.is_some() {
            return ReportAnswer::Marked { from_ms: self.rejected_from_ms };
        }
        let before = self.reported.as_ref() == Some(&request.fingerprint);
        if !before {
            self.reported = Some(request.fingerprint.clone());
            self.reported_at_ms = now_ms;
        }
        let insisted = before && now_ms >= self.reported_at_ms.saturating_add(request.spacing_ms);
        if request.probed == Probed::Alive && !insisted {
            return ReportAnswer::StillValid;
        }
        let day = day_of(now_ms);
        if self.report_day != day {
            self.report_day = day;
            self.report_count = 0;
        }
        let from_ms = if self.report_count >= request.budget {
            (day + 1) * DAY_MS - DAY_OFFSET_MS
        } else {
            self.report_count += 1;
            self.served_from_ms(now_ms, request.spacing_ms)
        };
        self.rejected = Some(Mark::Reported);
        self.rejected_from_ms = from_ms;
        ReportAnswer::Marked { from_ms }
    }

    /// Marks the current token as to be replaced, whatever the status: refusals no longer bar anybody. Spacing is waited out.
    ///
    /// Returns from when the mark is served.
    pub fn force(&mut self, now_ms: u64, rules: &Rules) -> u64 {
        self.rejected = Some(Mark::Forced);
        self.rejected_from_ms = self.served_from_ms(now_ms, rules.spacing_ms);
        self.refusals.clear();
        self.retry_at_ms = 0;
        self.failures = 0;
        self.rejected_from_ms
    }

    fn served_from_ms(&self, now_ms: u64, spacing_ms: u64) -> u64 {
        if self.spaced_from_ms == 0 || !self.usable(now_ms) {
            now_ms
        } else {
            now_ms.max(self.spaced_from_ms.min(now_ms).saturating_add(spacing_ms))
        }
    }
}

/// The day of +08:00 to which an instant of the store belongs, counted from 1970.
pub const fn day_of(now_ms: u64) -> u64 {
    (now_ms + DAY_OFFSET_MS) / DAY_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_380_778_000;

    fn with_a_token() -> State {
        State {
            v: 1,
            fingerprint: Some(Fingerprint::of("T")),
            expires_at_ms: NOW + 3_600_000,
            refresh_at_ms: NOW + 3_000_000,
            spaced_from_ms: NOW - 3_600_000,
            ..State::default()
        }
    }

    fn request(token: &str, probed: Probed) -> ReportRequest {
        let fingerprint = Fingerprint::of(token);
        ReportRequest { fingerprint, probed, spacing_ms: 30_000, budget: 2 }
    }

    #[test]
    fn a_report_of_an_older_token_changes_nothing() {
        let mut state = with_a_token();
        let answer = state.report(NOW, &request("T0", Probed::Dead));
        assert_eq!((answer, state), (ReportAnswer::AlreadyNewer, with_a_token()));
    }

    #[test]
    fn three_hundred_reports_of_one_dead_token_are_one_mark() {
        let mut state = with_a_token();
        for _ in 0..300 {
            let answer = state.report(NOW, &request("T", Probed::Dead));
            assert_eq!(answer, ReportAnswer::Marked { from_ms: NOW });
        }
        assert_eq!(state.report_count, 1);
    }

    #[test]
    fn a_token_that_the_upstream_accepts_is_marked_only_if_reported_again_after_the_spacing() {
        let mut state = with_a_token();
        let alive = request("T", Probed::Alive);
        assert_eq!(state.report(NOW, &alive), ReportAnswer::StillValid);
        assert_eq!(state.report(NOW + 29_999, &alive), ReportAnswer::StillValid);
        let marked = ReportAnswer::Marked { from_ms: NOW + 30_000 };
        assert_eq!(state.report(NOW + 30_000, &alive), marked);
    }

    #[test]
    fn a_mark_within_the_spacing_or_past_the_budget_is_served_when_its_time_comes() {
        let mut spaced = State { spaced_from_ms: NOW - 10_000, ..with_a_token() };
        let answer = spaced.report(NOW, &request("T", Probed::Dead));
        assert_eq!(answer, ReportAnswer::Marked { from_ms: NOW + 20_000 });

        let day = day_of(NOW);
        let mut spent = State { report_day: day, report_count: 2, ..with_a_token() };
        let answer = spent.report(NOW, &request("T", Probed::Dead));
        let midnight_ms = (day + 1) * DAY_MS - DAY_OFFSET_MS;
        assert_eq!(answer, ReportAnswer::Marked { from_ms: midnight_ms });
    }

    #[test]
    fn force_lifts_every_bar_and_waits_the_spacing_out() {
        let mut state =
            State { spaced_from_ms: NOW - 10_000, retry_at_ms: NOW + 9, ..with_a_token() };
        assert_eq!(state.force(NOW, &crate::outlook::WECHAT), NOW + 20_000);
        assert_eq!((state.rejected, state.retry_at_ms), (Some(Mark::Forced), 0));
    }
}

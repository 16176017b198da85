//! Force and invalidate: an operator wants another token, whatever the status.

use crate::outlook::Rules;
use crate::report::day_of;
use crate::state::{Mark, State};

/// Invalidations a day that the cluster allows itself. WeChat allows 20 of `force_refresh`, and says so for a day of its own.
pub const INVALIDATIONS_A_DAY: u32 = 15;
/// The least time between two invalidations, in milliseconds. WeChat ignores a second `force_refresh` within 30 s.
pub const INVALIDATION_SPACING_MS: u64 = 35_000;

/// What an invalidation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidateAnswer {
    /// The token is marked, and its death served from `from_ms`.
    Marked {
        /// When it is served.
        from_ms: u64,
    },
    /// The day's invalidations are spent.
    Spent,
}

impl State {
    /// Marks the current token as to be replaced, whatever the status: refusals no longer bar anybody. Spacing is waited out.
    ///
    /// Returns from when the mark is served.
    pub fn force(&mut self, now_ms: u64, rules: &Rules) -> u64 {
        if self.rejected != Some(Mark::Invalidated) {
            self.rejected = Some(Mark::Forced);
            self.rejected_from_ms = self.served_from_ms(now_ms, rules.spacing_ms);
        }
        self.lift_refusals();
        self.rejected_from_ms
    }

    /// Marks the current token as to be killed: an idempotent upstream is asked to replace it at once, without overlap.
    pub fn invalidate(&mut self, now_ms: u64, rules: &Rules) -> InvalidateAnswer {
        if self.rejected == Some(Mark::Invalidated) {
            self.lift_refusals();
            return InvalidateAnswer::Marked { from_ms: self.rejected_from_ms };
        }
        let day = day_of(now_ms);
        if self.invalidate_day != day {
            self.invalidate_day = day;
            self.invalidate_count = 0;
        }
        if self.invalidate_count >= INVALIDATIONS_A_DAY {
            return InvalidateAnswer::Spent;
        }
        self.invalidate_count += 1;
        let spaced_ms = match self.invalidated_at_ms.min(now_ms) {
            0 => 0,
            at_ms => at_ms.saturating_add(INVALIDATION_SPACING_MS),
        };
        let from_ms = self.served_from_ms(now_ms, rules.spacing_ms).max(spaced_ms);
        self.invalidated_at_ms = from_ms;
        self.rejected = Some(Mark::Invalidated);
        self.rejected_from_ms = from_ms;
        self.lift_refusals();
        InvalidateAnswer::Marked { from_ms }
    }

    fn lift_refusals(&mut self) {
        self.refusals.clear();
        self.retry_at_ms = 0;
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlook::WECHAT;
    use crate::report::tests::{NOW, with_a_token};

    #[test]
    fn force_lifts_every_bar_and_waits_the_spacing_out() {
        let mut state =
            State { spaced_from_ms: NOW - 10_000, retry_at_ms: NOW + 9, ..with_a_token() };
        assert_eq!(state.force(NOW, &WECHAT), NOW + 20_000);
        assert_eq!((state.rejected, state.retry_at_ms), (Some(Mark::Forced), 0));
    }

    #[test]
    fn invalidations_are_35_seconds_apart_and_15_a_day() {
        let mut state = with_a_token();
        let mut at_ms = NOW;
        for _ in 0..INVALIDATIONS_A_DAY {
            let answer = state.invalidate(NOW, &WECHAT);
            assert_eq!(answer, InvalidateAnswer::Marked { from_ms: at_ms });
            assert_eq!(state.invalidate(NOW, &WECHAT), answer);
            state.rejected = None;
            at_ms = NOW + INVALIDATION_SPACING_MS;
        }
        assert_eq!(state.invalidate(NOW, &WECHAT), InvalidateAnswer::Spent);
        let tomorrow = NOW + crate::report::DAY_MS;
        let answer = state.invalidate(tomorrow, &WECHAT);
        assert_eq!(answer, InvalidateAnswer::Marked { from_ms: tomorrow });
    }

    #[test]
    fn a_force_does_not_soften_an_invalidation() {
        let mut state = with_a_token();
        state.invalidate(NOW, &WECHAT);
        state.force(NOW, &WECHAT);
        assert_eq!(state.rejected, Some(Mark::Invalidated));
    }
}

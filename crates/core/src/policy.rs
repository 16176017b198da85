//! Jitter and backoff: when exactly things happen, given a random number.

use std::time::Duration;

use crate::nature::Nature;
use crate::report::{DAY_MS, DAY_OFFSET_MS, day_of};
use crate::state::{Mark, State};
use crate::ticket;
use crate::timing::Timing;

/// The first wait after a transient failure.
pub const RETRY_BASE: Duration = Duration::from_secs(1);
/// The longest wait after a transient failure.
pub const RETRY_CAP: Duration = Duration::from_mins(1);
/// The longest wait where two unknown outcomes have made the token doubtful (rule R14).
pub const URGENT_CAP: Duration = Duration::from_secs(2);

/// A number in `[0, 1)`.
#[derive(Clone, Copy, Debug)]
pub struct Random(f64);

impl Random {
    /// Takes `number` for random; what lies outside of `[0, 1)` is clamped.
    pub const fn new(number: f64) -> Self {
        Self(number.clamp(0.0, 1.0))
    }

    /// A uniformly distributed duration below `limit`.
    pub fn below(self, limit: Duration) -> Duration {
        limit.mul_f64(self.0)
    }
}

/// How long before the end of a token's `life` its refresh is due.
///
/// The last tenth of `ahead` is spread at random, so that tokens fetched together do not fall due together.
/// An idempotent upstream changes nothing before the last `overlap` of the life, so asking earlier is of no use.
pub fn due_before_expiry(
    nature: Nature,
    timing: &Timing,
    life: Duration,
    random: Random,
) -> Duration {
    let (ahead, _) = timing.ahead_of(life);
    let ahead = match nature {
        Nature::Idempotent => ahead.min(timing.times().overlap),
        Nature::Rotating { .. } | Nature::Lasting => ahead,
    };
    ahead.saturating_sub(random.below(ahead / 10))
}

/// The first and the longest wait for what passes by itself: short where `unknowns`, two unknown outcomes or more, may have
/// killed the token already (rule R14), long where calls are few and kill nothing.
pub const fn retry_waits(nature: Nature, unknowns: u32) -> (Duration, Duration) {
    match nature {
        Nature::Lasting => (ticket::RETRY_BASE, ticket::RETRY_CAP),
        Nature::Rotating { .. } | Nature::Idempotent if unknowns >= 2 => (RETRY_BASE, URGENT_CAP),
        Nature::Rotating { .. } | Nature::Idempotent => (RETRY_BASE, RETRY_CAP),
    }
}

/// Exponential backoff with full jitter: uniform between zero and `base × 2^failures`, at most `cap`,
/// and never less than a tenth of `base`, so that a run of small numbers is no storm.
pub fn backoff(base: Duration, cap: Duration, failures: u32, random: Random) -> Duration {
    let grown = base.saturating_mul(2_u32.saturating_pow(failures.min(16)));
    random.below(grown.min(cap)).max(base.min(cap) / 10)
}

/// The wait until the upstream's next day (00:00 +08:00), and up to five minutes more: everybody's quota is new then.
///
/// That the day begins at that hour is the field's experience, not documented (facts on WeChat's quotas).
pub fn until_next_day(now_ms: u64, random: Random) -> Duration {
    let midnight_ms = (day_of(now_ms) + 1) * DAY_MS - DAY_OFFSET_MS;
    let spread = Duration::from_secs(30) + random.below(Duration::from_secs(270));
    Duration::from_millis(midnight_ms - now_ms) + spread
}

/// The wait until the upstream's next minute, and up to ten seconds more.
pub fn until_next_minute(now_ms: u64, random: Random) -> Duration {
    let rest = Duration::from_millis(60_000 - now_ms % 60_000);
    rest + Duration::from_secs(1) + random.below(Duration::from_secs(9))
}

/// Whether a claim that too few replicas acknowledged is used all the same (rule R10), given the state after it:
/// because readers may hold a dead token until it is replaced, or because less than half of what a refresh begins ahead of
/// is left of the token's life.
pub fn is_too_late_for_protection(state: &State, now_ms: u64) -> bool {
    let left_ms = state.expires_at_ms.saturating_sub(now_ms);
    let ahead_ms = state.expires_at_ms.saturating_sub(state.refresh_at_ms);
    // A replica that never comes back would keep doubt from being settled: the overlap ends long before the life does.
    !state.usable(now_ms)
        || !state.doubt.is_empty()
        || state.rejected == Some(Mark::Reported)
        || left_ms < ahead_ms / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubt::Doubt;
    use crate::timing::WECHAT;
    use crate::token::Fingerprint;

    const HALF: Random = Random(0.5);

    #[test]
    fn a_refresh_is_due_ahead_of_expiry_with_the_last_tenth_spread() {
        let timing = Timing::new(WECHAT).unwrap();
        let life = Duration::from_hours(2);
        let due = |random| due_before_expiry(Nature::WECHAT, &timing, life, Random::new(random));
        assert_eq!(due(0.0), Duration::from_mins(10));
        assert_eq!(due(1.0), Duration::from_mins(9));
        let stable = due_before_expiry(Nature::Idempotent, &timing, life, Random::new(0.0));
        assert_eq!(stable, Duration::from_mins(5));
    }

    #[test]
    fn backoff_doubles_up_to_its_cap_and_never_vanishes() {
        let wait = |failures, random| backoff(RETRY_BASE, RETRY_CAP, failures, Random::new(random));
        assert_eq!(wait(0, 0.5), Duration::from_millis(500));
        assert_eq!(wait(3, 0.5), Duration::from_secs(4));
        assert_eq!(wait(30, 1.0), RETRY_CAP);
        assert_eq!(wait(30, 0.0), Duration::from_millis(100));
    }

    #[test]
    fn the_next_day_begins_at_midnight_of_the_eighth_hour_east() {
        // 2026-11-22T15:59:00Z is 23:59 at +08:00.
        let wait = until_next_day(1_795_363_140_000, HALF);
        assert_eq!(wait, Duration::from_secs(60 + 30 + 135));
    }

    #[test]
    fn the_next_minute_begins_on_the_minute() {
        let wait = until_next_minute(1_795_363_155_000, Random::new(0.0));
        assert_eq!(wait, Duration::from_secs(45 + 1));
    }

    #[track_caller]
    fn check_protection(change: impl FnOnce(&mut State), expected: bool) {
        const NOW: u64 = 1_000_000_000;
        let mut state = State {
            fingerprint: Some(Fingerprint::of("T")),
            expires_at_ms: NOW + 3_600_000,
            refresh_at_ms: NOW + 3_000_000,
            ..State::default()
        };
        change(&mut state);
        assert_eq!(is_too_late_for_protection(&state, NOW), expected, "{state:?}");
    }

    #[test]
    fn a_token_that_is_sure_is_kept_until_half_of_ahead_while_replicas_are_waited_for() {
        let left = |state: &mut State, ms: u64| {
            let elapsed_ms = 3_600_000 - ms;
            state.expires_at_ms -= elapsed_ms;
            state.refresh_at_ms -= elapsed_ms;
        };
        check_protection(|_| {}, false);
        check_protection(|state| left(state, 300_000), false);
        check_protection(|state| left(state, 299_999), true);
        check_protection(|state| state.rejected = Some(Mark::Forced), false);
    }

    #[test]
    fn a_token_that_may_be_dying_is_not_kept_for_the_sake_of_replicas() {
        let doubt = |doubt| move |state: &mut State| state.raise(doubt, 0, 0);
        check_protection(doubt(Doubt::Takeover), true);
        check_protection(doubt(Doubt::Epoch), true);
        check_protection(|state| state.rejected = Some(Mark::Reported), true);
        check_protection(|state| state.fingerprint = None, true);
    }
}

//! Keep: publish the state's copy again where the reader's key is gone or was overwritten (rule R13).

use crate::life::Alive;
use crate::state::{CLOCK_SLACK_MS, State};

/// What the reader's key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderKey {
    /// Nothing.
    Absent,
    /// The state's token, for so long; `None` if it never expires.
    Current {
        /// Time to live.
        ttl_ms: Option<u64>,
    },
    /// Something else.
    Other,
}

/// What a keep came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAnswer {
    /// The key is as it should be.
    Kept,
    /// The copy was published again, to live `ttl_ms`.
    Republished {
        /// Time to live.
        ttl_ms: u64,
    },
    /// There is no token that still lives, and readers must find none: the key is deleted if it still holds the last one.
    /// `announce` is true the first time that its end was found.
    NoToken {
        /// A token's life ended without a successor, and nobody said so yet.
        announce: bool,
    },
}

impl State {
    /// Applies a keep at the store's time `now_ms`, the reader's key being `key`.
    pub fn keep(&mut self, now_ms: u64, alive: Option<Alive>, key: ReaderKey) -> KeepAnswer {
        self.follow_boot_clock(now_ms, alive);
        if !self.usable(now_ms) {
            let announce = self.fingerprint.is_some() && !self.lost;
            self.lost |= announce;
            return KeepAnswer::NoToken { announce };
        }
        let left_ms = self.expires_at_ms - now_ms;
        match key {
            ReaderKey::Current { ttl_ms: Some(ttl_ms) }
                if ttl_ms.abs_diff(left_ms) <= CLOCK_SLACK_MS =>
            {
                KeepAnswer::Kept
            }
            ReaderKey::Absent | ReaderKey::Other | ReaderKey::Current { .. } => {
                KeepAnswer::Republished { ttl_ms: left_ms }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::Known;
    use crate::token::Fingerprint;

    const NOW: u64 = 1_000_000_000;

    fn with_an_hour_left() -> State {
        State {
            v: 1,
            fingerprint: Some(Fingerprint::of("T")),
            token_fence: 7,
            issued_at_ms: NOW - 3_600_000,
            expires_at_ms: NOW + 3_600_000,
            refresh_at_ms: NOW + 3_000_000,
            ..State::default()
        }
    }

    #[test]
    fn a_deleted_or_overwritten_key_is_published_again_for_what_is_left() {
        for key in [ReaderKey::Absent, ReaderKey::Other, ReaderKey::Current { ttl_ms: None }] {
            let answer = with_an_hour_left().keep(NOW, None, key);
            assert_eq!(answer, KeepAnswer::Republished { ttl_ms: 3_600_000 });
        }
        let current = ReaderKey::Current { ttl_ms: Some(3_600_000) };
        assert_eq!(with_an_hour_left().keep(NOW, None, current), KeepAnswer::Kept);
    }

    #[test]
    fn the_end_of_the_last_token_is_announced_once() {
        let mut state = State { expires_at_ms: NOW, ..with_an_hour_left() };
        let announced = KeepAnswer::NoToken { announce: true };
        assert_eq!(state.keep(NOW, None, ReaderKey::Absent), announced);
        let again = KeepAnswer::NoToken { announce: false };
        assert_eq!(state.keep(NOW, None, ReaderKey::Absent), again);
        assert_eq!(State::default().keep(NOW, None, ReaderKey::Absent), again);
    }

    #[test]
    fn a_worker_that_saw_the_commit_knows_better_than_a_clock_that_was_stepped() {
        let alive = Some(Alive { token_fence: 7, for_ms: 3_600_000, known: Known::Exactly });
        let hour = 3_600_000;
        for now in [NOW + 2 * hour, NOW - hour] {
            let mut state = with_an_hour_left();
            let answer = state.keep(now, alive, ReaderKey::Absent);
            assert_eq!(answer, KeepAnswer::Republished { ttl_ms: hour });
            assert_eq!(state.refresh_at_ms, now + hour - 600_000);
            assert!(!state.clock_went_back(now));
        }
        let of_an_older_token = Some(Alive { token_fence: 6, for_ms: 1, known: Known::Exactly });
        let answer = with_an_hour_left().keep(NOW, of_an_older_token, ReaderKey::Absent);
        assert_eq!(answer, KeepAnswer::Republished { ttl_ms: hour });
    }

    #[test]
    fn a_worker_that_only_read_the_token_shortens_its_life_and_never_lengthens_it() {
        let hour = 3_600_000;
        let alive = |for_ms| Some(Alive { token_fence: 7, for_ms, known: Known::AtMost });
        let current = |ttl_ms| ReaderKey::Current { ttl_ms: Some(ttl_ms) };
        // The clock went back by half an hour: the key would live on by as much.
        let mut state = with_an_hour_left();
        let back = NOW - hour / 2;
        let answer = state.keep(back, alive(hour), current(hour + hour / 2));
        assert_eq!(answer, KeepAnswer::Republished { ttl_ms: hour });
        assert_eq!(
            (state.expires_at_ms, state.refresh_at_ms),
            (back + hour, back + hour - 600_000)
        );
        let answer = state.keep(back + hour, alive(0), current(0));
        assert_eq!(answer, KeepAnswer::NoToken { announce: true });
        let forward = with_an_hour_left().keep(NOW + hour / 2, alive(hour), current(hour / 2));
        assert_eq!(forward, KeepAnswer::Kept);
    }
}

//! How long a token lives by a worker's own boot clock, and how a state follows that where the store's clock was stepped.

use std::time::Duration;

use crate::clock::{Boot, millis};
use crate::state::{CLOCK_SLACK_MS, State};

/// How much longer a life must be than the store believes before it is made longer, in milliseconds.
///
/// What a worker says is left has become less when it arrives, and clocks run at rates that differ a little. A step forward
/// that is smaller than this brings a refresh forward by as much.
pub const LONGER_SLACK_MS: u64 = 9_000;

/// How a worker knows of a token's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It heard of the commit as it happened: the life is as long as that, whatever the store's clock says.
    Exactly,
    /// It read later how much was left: the life is no longer than that. The clock may have been wrong then already, so it
    /// makes no life longer.
    AtMost,
}

/// When a token dies by a worker's boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The fence under which that token was committed.
    pub token_fence: u64,
    /// When it dies.
    pub dies_at: Boot,
    /// How the worker knows.
    pub known: Known,
}

/// How long a token still lives by a worker's boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alive {
    /// The fence under which that token was committed.
    pub token_fence: u64,
    /// What is left of its life, in milliseconds; 0 if it is over.
    pub for_ms: u64,
    /// How the worker knows.
    pub known: Known,
}

impl Life {
    /// What is left of it.
    pub fn alive(self, now: Boot) -> Alive {
        let Self { token_fence, dies_at, known } = self;
        Alive { token_fence, for_ms: millis(dies_at.since(now)), known }
    }

    /// What is known of the life of `state`'s token once `state`, which was that at the store's time `now_ms`, has been read.
    ///
    /// It counts from `heard_at`, when the answer had come: however long that took, no less is claimed than is true.
    /// A later reading can only bring the end nearer. One that was made while the store's clock was ahead brings it too near,
    /// once the clock is put right: that costs one fetch before its time, whose commit ends what was known. Readers lose by it
    /// only if no fetch succeeds until then.
    pub(crate) fn read(
        known: Option<Self>,
        state: &State,
        now_ms: u64,
        heard_at: Boot,
    ) -> Option<Self> {
        if !state.usable(now_ms) {
            return known;
        }
        let dies_at = heard_at + left(state, now_ms);
        let dies_at = known.map_or(dies_at, |known| dies_at.min(known.dies_at));
        Some(Self { token_fence: state.token_fence, dies_at, known: Known::AtMost })
    }

    /// Whether `state`, which was that at the store's time `now_ms` and not before `asked_at`, shows a longer life: then the
    /// store's clock was stepped back, and nobody has told the store.
    pub(crate) fn is_exceeded_by(&self, state: &State, now_ms: u64, asked_at: Boot) -> bool {
        let slack = Duration::from_millis(CLOCK_SLACK_MS);
        self.token_fence == state.token_fence
            && asked_at + left(state, now_ms) > self.dies_at + slack
    }
}

/// What is left of the token's life by the store's clock.
pub(crate) const fn left(state: &State, now_ms: u64) -> Duration {
    Duration::from_millis(state.expires_at_ms.saturating_sub(now_ms))
}

impl State {
    /// Moves the token's instants to what a worker's boot clock says of them, if the store's clock was stepped meanwhile.
    pub(crate) fn follow_boot_clock(&mut self, now_ms: u64, alive: Option<Alive>) {
        let Some(alive) = alive.filter(|a| a.token_fence == self.token_fence && a.token_fence > 0)
        else {
            return;
        };
        let expires_at_ms = now_ms.saturating_add(alive.for_ms);
        let shorter = expires_at_ms.saturating_add(CLOCK_SLACK_MS) < self.expires_at_ms;
        let longer = alive.known == Known::Exactly
            && expires_at_ms > self.expires_at_ms.saturating_add(LONGER_SLACK_MS);
        if !shorter && !longer {
            return;
        }
        let life_ms = self.expires_at_ms.saturating_sub(self.issued_at_ms);
        let ahead_ms = self.expires_at_ms.saturating_sub(self.refresh_at_ms);
        self.expires_at_ms = expires_at_ms;
        self.issued_at_ms = expires_at_ms.saturating_sub(life_ms);
        self.refresh_at_ms = expires_at_ms.saturating_sub(ahead_ms);
    }

    /// How long the reader's key is to live, if it holds the token and a claim has brought the end of that token's life nearer,
    /// which was at `found_ms` before; 0 if it is to go. The key ends by the store's clock, and would outlive the token.
    pub const fn cut_ttl_ms(&self, found_ms: u64, now_ms: u64) -> Option<u64> {
        if self.expires_at_ms >= found_ms {
            return None;
        }
        Some(self.expires_at_ms.saturating_sub(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Fingerprint;

    const NOW_MS: u64 = 1_000_000_000;
    const START: Boot = Boot::new(Duration::from_secs(5_000));

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn with_seconds_left(left: u64) -> State {
        State {
            v: 1,
            fingerprint: Some(Fingerprint::of("T")),
            token_fence: 7,
            expires_at_ms: NOW_MS + 1_000 * left,
            ..State::default()
        }
    }

    fn read(known: Option<Life>, left: u64, heard_after: u64) -> Option<Life> {
        Life::read(known, &with_seconds_left(left), NOW_MS, START + s(heard_after))
    }

    #[test]
    fn a_reading_that_was_long_on_its_way_claims_no_less_than_is_true() {
        let life = read(None, 100, 9).unwrap();
        assert_eq!((life.dies_at, life.known), (START + s(109), Known::AtMost));
        // Asked at once, it was made then or up to nine seconds later.
        assert!(!life.is_exceeded_by(&with_seconds_left(100), NOW_MS, START));
    }

    #[test]
    fn later_readings_bring_the_end_nearer_and_never_put_it_off() {
        let first = read(None, 100, 0);
        assert_eq!(read(first, 200, 10), first, "the clock went back");
        let ahead = read(first, 50, 10);
        assert_eq!(ahead.map(|life| life.dies_at), Some(START + s(60)), "or was ahead before");
        assert_eq!(read(first, 0, 10), first, "a dead token says nothing");
    }

    #[test]
    fn a_state_that_shows_more_than_the_slack_too_much_exceeds_what_is_known() {
        let life = read(None, 100, 0).unwrap();
        let shows = |left| life.is_exceeded_by(&with_seconds_left(left), NOW_MS, START + s(10));
        assert!(!shows(91) && shows(92));
        let another = State { token_fence: 8, ..with_seconds_left(200) };
        assert!(!life.is_exceeded_by(&another, NOW_MS, START));
    }

    #[test]
    fn a_life_is_made_longer_only_by_more_than_a_command_may_take() {
        let follows = |for_ms| {
            let mut state = with_seconds_left(100);
            let alive = Alive { token_fence: 7, for_ms, known: Known::Exactly };
            state.follow_boot_clock(NOW_MS, Some(alive));
            state.expires_at_ms - NOW_MS
        };
        assert_eq!(follows(100_000 + LONGER_SLACK_MS), 100_000);
        assert_eq!(follows(100_001 + LONGER_SLACK_MS), 100_001 + LONGER_SLACK_MS);
        assert_eq!(follows(100_000 - CLOCK_SLACK_MS), 100_000);
        assert_eq!(follows(99_999 - CLOCK_SLACK_MS), 99_999 - CLOCK_SLACK_MS);
    }

    #[test]
    fn the_readers_key_follows_an_end_that_came_nearer() {
        let state = with_seconds_left(10);
        assert_eq!(state.cut_ttl_ms(state.expires_at_ms, NOW_MS), None);
        assert_eq!(state.cut_ttl_ms(NOW_MS + 70_000, NOW_MS), Some(10_000));
        assert_eq!(state.cut_ttl_ms(NOW_MS + 70_000, NOW_MS + 20_000), Some(0));
        assert_eq!(state.cut_ttl_ms(NOW_MS + 5_000, NOW_MS), None, "a keep publishes it again");
    }
}

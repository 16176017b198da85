//! When one worker looks after the keys of SDKs of one unit: events go in, instants come out.
//!
//! A look publishes what the state holds; at keys that have it already it changes nothing, so one too many costs two round trips
//! to the store. The unit's first worker looks at once, the others a little later each, in case it does not.

use std::time::Duration;

use crate::clock::Boot;
use crate::keeper::{STEP, SWEEP, place};
use crate::refusal::Status;
use crate::state::{CLOCK_SLACK_MS, State};

/// However often a key is touched, two looks are this far apart.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// One worker's care for the keys of SDKs of one unit.
#[derive(Clone, Debug, Default)]
pub struct Publisher {
    look_from: Option<Boot>,
    looking: bool,
    looked_at: Option<Boot>,
    /// The token that it saw published last, and the end of its life.
    shown: Option<(u64, u64)>,
    /// The unit was paused, and its keys were left to whoever writes them.
    left_alone: bool,
    /// A key that does not live as long as the token is renewed this often.
    renew_every: Option<Duration>,
}

impl Publisher {
    /// A publisher of keys of which the shortest lives for `ttl_min`, if less than the token.
    pub fn new(ttl_min: Option<Duration>) -> Self {
        // Twice within the half at which it counts as too short.
        let renew_every = ttl_min.map(|ttl| ttl / 4);
        Self { renew_every, ..Self::default() }
    }

    /// The unit's state is `state`.
    pub fn observe(&mut self, state: &State, now: Boot, rank: u32) {
        self.left_alone |= state.status == Status::Paused;
        if !Self::cares(state) {
            return;
        }
        if std::mem::take(&mut self.left_alone) {
            self.plan(now + place(rank, STEP));
        }
        let (fence, end_ms) = (state.token_fence, state.expires_at_ms);
        let is_news = self.shown.is_none_or(|(shown, shown_end_ms)| {
            shown != fence || shown_end_ms.abs_diff(end_ms) > CLOCK_SLACK_MS
        });
        if is_news {
            // Whoever committed it publishes it right away; this is in case it does not.
            self.plan(now + STEP + place(rank, STEP));
        }
    }

    /// Whether keys are kept current while the unit is in `state`. While an operator paused it they are left alone.
    pub fn cares(state: &State) -> bool {
        state.status != Status::Paused && state.fingerprint.is_some()
    }

    /// One of the keys was touched, by this cluster or by somebody else.
    pub fn touched(&mut self, now: Boot, rank: u32) {
        let soonest = self.looked_at.map_or(now, |at| now.max(at + LOOK_EVERY));
        self.plan(soonest + place(rank, STEP));
    }

    /// Something may have been missed.
    pub fn missed(&mut self, now: Boot, rank: u32) {
        self.plan(now + place(rank, STEP));
    }

    fn plan(&mut self, at: Boot) {
        self.look_from = Some(self.look_from.map_or(at, |planned| planned.min(at)));
    }

    /// When to look next; `None` while it is looking.
    pub fn look_at(&self, rank: u32) -> Option<Boot> {
        if self.looking {
            return None;
        }
        let sweep = self.renew_every.unwrap_or(SWEEP).min(SWEEP) + place(rank, STEP);
        // Without keys that need it, the slow sweep is the first worker's.
        let sweeps = rank == 0 || self.renew_every.is_some();
        let swept = self.looked_at.filter(|_| sweeps).map(|at| at + sweep);
        [self.look_from, swept].into_iter().flatten().min()
    }

    /// It looks now: whatever comes from now on is a reason to look again.
    pub const fn look(&mut self, now: Boot) {
        self.looking = true;
        self.look_from = None;
        self.looked_at = Some(now);
    }

    /// The token committed under `token_fence`, whose life ends at `expires_at_ms`, was published or found at every key.
    pub const fn showed(&mut self, token_fence: u64, expires_at_ms: u64) {
        self.shown = Some((token_fence, expires_at_ms));
    }

    /// The look is over.
    pub const fn looked(&mut self) {
        self.looking = false;
    }

    /// Not every key could be written: it looks again at `at`.
    pub fn failed(&mut self, at: Boot) {
        self.looking = false;
        self.plan(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Fingerprint;

    const START: Boot = Boot::new(Duration::from_secs(5_000));

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn with_token(token_fence: u64) -> State {
        let fingerprint = Some(Fingerprint::of("T"));
        State { v: 1, fingerprint, token_fence, expires_at_ms: 900_000, ..State::default() }
    }

    #[test]
    fn a_key_that_was_touched_is_looked_at_at_once_by_the_first_worker_and_later_by_the_others() {
        let mut publisher = Publisher::default();
        publisher.touched(START, 0);
        assert_eq!(publisher.look_at(0), Some(START));
        let mut third = Publisher::default();
        third.touched(START, 2);
        assert_eq!(third.look_at(2), Some(START + 2 * STEP));
    }

    #[test]
    fn what_happens_during_a_look_is_looked_at_after_it_and_not_all_the_time() {
        let mut publisher = Publisher::default();
        publisher.look(START);
        publisher.touched(START + ms(1), 0);
        publisher.touched(START + ms(2), 0);
        assert_eq!(publisher.look_at(0), None, "it is looking");
        publisher.looked();
        assert_eq!(publisher.look_at(0), Some(START + LOOK_EVERY));
        publisher.look(START + LOOK_EVERY);
        publisher.looked();
        assert_eq!(publisher.look_at(0), Some(START + LOOK_EVERY + SWEEP));
        assert_eq!(publisher.look_at(1), None, "the sweep is the first worker's");
    }

    #[test]
    fn another_token_or_another_end_of_it_is_a_reason_to_look_and_the_same_is_none() {
        let mut publisher = Publisher::default();
        publisher.observe(&with_token(7), START, 0);
        assert_eq!(publisher.look_at(0), Some(START + STEP));
        let mut shown = Publisher::default();
        shown.showed(7, 900_000);
        shown.observe(&with_token(7), START, 0);
        assert_eq!(shown.look_at(0), None);
        let cut = State { expires_at_ms: 800_000, ..with_token(7) };
        shown.observe(&cut, START, 1);
        assert_eq!(shown.look_at(1), Some(START + 2 * STEP));
    }

    #[test]
    fn while_the_unit_is_paused_its_keys_are_left_to_whoever_writes_them_and_taken_over_after_it() {
        let mut publisher = Publisher::default();
        publisher.showed(7, 900_000);
        let paused = State { status: Status::Paused, ..with_token(7) };
        publisher.observe(&paused, START, 0);
        assert_eq!(publisher.look_at(0), None);
        publisher.observe(&with_token(7), START, 0);
        assert_eq!(publisher.look_at(0), Some(START), "although it is the same token");
    }

    #[test]
    fn a_key_that_ends_before_the_token_is_renewed_by_whoever_still_lives() {
        let mut publisher = Publisher::new(Some(Duration::from_secs(20)));
        publisher.look(START);
        publisher.looked();
        assert_eq!(publisher.look_at(1), Some(START + Duration::from_secs(5) + STEP));
    }

    #[test]
    fn a_key_that_could_not_be_written_is_tried_again() {
        let mut publisher = Publisher::default();
        publisher.look(START);
        publisher.failed(START + ms(200));
        assert_eq!(publisher.look_at(3), Some(START + ms(200)));
    }
}

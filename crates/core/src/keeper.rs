//! What one worker does next about one unit: events go in, one action at a time comes out.
//!
//! A keeper holds the last state that it saw and what it must not forget (rule R7); it never waits and does no IO.
//! Its loop calls [`Keeper::next`] after every event and whenever the time comes that the last answer named.

use std::time::Duration;

use crate::clock::Boot;
use crate::life::{Known, Life, left};
use crate::outlook::{Outlook, Reason, Rules, Viewer};
use crate::ports::{Observed, TouchedKey};
use crate::recollection::Recollection;
use crate::state::{CLOCK_SLACK_MS, Memory, OwnClaim, State, VERSION};

/// The place in a unit's order costs this much: the first worker begins, the next follows if nobody has.
pub const STEP: Duration = Duration::from_millis(150);
/// Later places in the order wait this much longer for a change of epoch to be settled: it is the first worker's share.
const SHARE: Duration = Duration::from_secs(30);
/// The first worker looks at each of its units this often, whatever it hears or does not hear.
pub const SWEEP: Duration = Duration::from_mins(10);
/// The store's clock may lag a little behind the estimate of it.
const LAG: Duration = Duration::from_millis(2);
/// A touch this soon after an event is the event's own.
const EXPLAINED: Duration = Duration::from_secs(1);
/// No answer takes longer than this: one that seems older than what was seen before is newer, by a clock that went back.
const OVERTAKING: Duration = Duration::from_secs(5);
/// A unit claimed this long ago may have lost that claim to a change of epoch: it is settled first.
const URGENT_MS: u64 = 120_000;

/// One worker's view of one unit.
#[derive(Clone, Debug, Default)]
pub struct Keeper {
    seen: Option<Seen>,
    recollection: Recollection,
    life: Option<Life>,
    /// The store's clock was seen to go back, and may show the token's life longer than it is.
    went_back: bool,
    work: Option<Work>,
    /// The view is to be read again, from this instant.
    read_from: Option<Boot>,
    /// The reader's key is to be looked after, from this instant.
    keep_from: Option<Boot>,
    /// After a failure of the store: not before this instant.
    not_before: Option<Boot>,
    /// Since when this unit waits to be settled after a change of epoch, and its turn once it has one.
    unsettled_from: Option<Boot>,
    turn: Option<Boot>,
    /// When the token is tried against the upstream.
    probe_at: Option<Boot>,
    /// That is under way. It stands in the way of nothing else.
    probing: bool,
    explained: Explained,
}

/// An action under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Read,
    Keep,
    Refresh,
}

/// A state, and when it was seen.
#[derive(Clone, Debug)]
struct Seen {
    state: State,
    now_ms: u64,
    at: Boot,
    /// That was then, and not before.
    timely: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Explained {
    reader: Option<Boot>,
    state: Option<Boot>,
}

/// What a keeper needs to know of the world to decide.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The boot clock.
    pub now: Boot,
    /// The unit's rules.
    pub rules: &'a Rules,
    /// This worker's identity.
    pub identity: &'a str,
    /// The credential's keyed hash.
    pub configuration: &'a str,
    /// The store's epoch, as last heard; empty where the epoch rule is off.
    pub epoch: &'a str,
    /// This worker's place in the unit's order.
    pub rank: u32,
    /// What the unit's token is got with is there. Without, an owed refresh waits: whoever finds it asks again.
    pub ready: bool,
}

/// How a view came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is the answer to a question that was asked at the instant given: whatever it shows may be old.
    Read,
    /// It was told as it happened.
    Told,
    /// It is the outcome of this worker's own commit, of a request sent at this instant, which issued a token of this life.
    Committed {
        /// When the token's life began.
        sent_at: Boot,
        /// How long it is.
        life: Duration,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing, until something happens or this instant comes.
    Rest(Option<Boot>),
    /// Read the state.
    Read,
    /// Look after the reader's key.
    Keep,
    /// Try the token against the upstream.
    Probe,
    /// Ask for a turn to settle a change of epoch; see [`Keeper::is_urgent`] for whose comes first.
    Queue,
    /// Try to refresh.
    Refresh {
        /// Why.
        reason: Reason,
    },
}

impl Keeper {
    /// The state as last seen, and the store's time now by estimate.
    pub fn view(&self, now: Boot) -> Option<(&State, u64)> {
        self.seen.as_ref().map(|seen| (&seen.state, seen.store_now_ms(now)))
    }

    /// What the worker remembers of the unit.
    pub const fn memory(&self) -> &Memory {
        &self.recollection.memory
    }

    /// When the token dies by the boot clock, as far as this worker knows.
    pub const fn life(&self) -> Option<Life> {
        self.life
    }

    /// The worker as the outlook sees it.
    pub fn viewer(&self, around: &Surroundings<'_>) -> Viewer {
        Viewer {
            identity: around.identity.to_owned(),
            configuration: around.configuration.to_owned(),
            epoch: around.epoch.to_owned(),
            memory: self.recollection.memory.clone(),
        }
    }

    /// Takes in a state that was asked for at `at` and came at `heard_at`, in `epoch` if the answer told which.
    pub fn observe(
        &mut self,
        observed: Observed,
        source: Source,
        [at, heard_at]: [Boot; 2],
        epoch: Option<&str>,
    ) {
        let Observed { state, now_ms } = observed;
        if self.seen.as_ref().is_some_and(|seen| seen.overtakes(&state, now_ms, at)) {
            return;
        }
        self.recollection.saw(&state, epoch);
        // A worker that was paused hears late: what it is told happened when the store says, not when it woke.
        // A store whose clock went back says nothing of that.
        let before =
            self.seen.as_ref().filter(|seen| source == Source::Told && seen.now_ms <= now_ms);
        let at = before.map_or(at, |seen| at.min(seen.boot_of(now_ms)));
        let timely = source != Source::Told
            || self.seen.as_ref().is_some_and(|seen| seen.is_followed_by(now_ms, heard_at));
        let stepped = |seen: &Seen| seen.is_ahead_of(now_ms, source, at);
        self.went_back |= self.seen.as_ref().is_some_and(stepped);
        self.life = self.learn(&state, now_ms, (source, timely), [at, heard_at]);
        self.went_back &= self.life.is_some_and(|life| life.is_exceeded_by(&state, now_ms, at));
        if self.seen.as_ref().is_some_and(|seen| seen.state.generation != state.generation) {
            self.probe_at = None;
        }
        self.read_from = None;
        self.not_before = None;
        self.seen = Some(Seen { state, now_ms, at, timely });
    }

    /// When the token of `state` dies, as far as this worker knows once it has seen that state.
    fn learn(
        &self,
        state: &State,
        now_ms: u64,
        (source, timely): (Source, bool),
        [at, heard_at]: [Boot; 2],
    ) -> Option<Life> {
        let token_fence = state.token_fence;
        let exactly = |dies_at| Some(Life { token_fence, dies_at, known: Known::Exactly });
        // A witness has made the life longer, and knows better than whoever only read of it.
        let was_raised = |seen: &Seen| {
            seen.state.token_fence == token_fence && seen.state.expires_at_ms < state.expires_at_ms
        };
        let raised = self.seen.as_ref().is_some_and(was_raised);
        let known = self.life.filter(|life| {
            life.token_fence == token_fence && !(raised && life.known == Known::AtMost)
        });
        match source {
            Source::Committed { sent_at, life } => exactly(sent_at + life),
            _ if known.is_some_and(|life| life.known == Known::Exactly) => known,
            Source::Told if timely && self.is_told_of_the_commit(state) => {
                exactly(at + left(state, now_ms))
            }
            Source::Told | Source::Read => Life::read(known, state, now_ms, heard_at),
        }
    }

    /// Whether `state`, of which this worker is told, is news of a token, just as its commit left it.
    fn is_told_of_the_commit(&self, state: &State) -> bool {
        let before = self.seen.as_ref().map(|seen| seen.state.token_fence);
        let news = before.is_some_and(|before| before != state.token_fence);
        news && state.fence == state.token_fence && !state.intent
    }

    /// Notes that an event was heard: the touches that come with it are its own. `reader` if it wrote the reader's key.
    pub fn explain(&mut self, reader: bool, now: Boot) {
        self.explained.state = Some(now);
        if reader {
            self.explained.reader = Some(now);
            self.keep_from = None;
        }
    }

    /// One of the unit's keys was touched.
    pub fn touched(&mut self, key: TouchedKey, around: &Surroundings<'_>) {
        let (explained, from) = match key {
            TouchedKey::Reader => (&mut self.explained.reader, &mut self.keep_from),
            TouchedKey::State => (&mut self.explained.state, &mut self.read_from),
            // The publisher's concern.
            TouchedKey::Sdk => return,
        };
        if explained.take().is_some_and(|at| around.now.since(at) < EXPLAINED) {
            return;
        }
        *from = Some(around.now + place(around.rank, STEP));
    }

    /// Readers were found without the good token that the state has.
    pub fn unpublished(&mut self, around: &Surroundings<'_>) {
        self.keep_from = Some(around.now + place(around.rank, STEP));
    }

    /// The unit's turn to be settled after a change of epoch is at `turn`.
    pub fn take_turn(&mut self, turn: Boot) {
        self.turn = Some(turn);
    }

    /// Whether nobody has said yet when this token is to be tried against the upstream.
    pub const fn needs_a_probe(&self) -> bool {
        self.probe_at.is_none()
    }

    /// The token is to be tried against the upstream at `at`, if this worker is the unit's first then.
    pub const fn probe_at(&mut self, at: Boot) {
        self.probe_at = Some(at);
    }

    /// The probe has ended.
    pub const fn probed(&mut self) {
        self.probing = false;
    }

    /// Remembers this worker's last claim, also one whose reply was lost (fence 0).
    pub fn claimed(&mut self, own: OwnClaim) {
        self.recollection.claimed(own);
    }

    /// The action under way ended, and the store answered.
    pub fn done(&mut self) {
        // Said once: who knows it to live longer may say so after that.
        self.went_back &= self.work.take() != Some(Work::Keep);
        self.not_before = None;
    }

    /// The action under way ended, and the store did not answer: nothing more before `not_before`.
    pub fn failed(&mut self, not_before: Boot) {
        match self.work.take() {
            Some(Work::Read) => self.read_from = Some(not_before),
            Some(Work::Keep) => self.keep_from = Some(not_before),
            Some(Work::Refresh) | None => {}
        }
        self.not_before = Some(not_before);
    }

    /// Nothing more before `instant`: the store and this keeper disagree on what is owed.
    pub fn rest_until(&mut self, instant: Boot) {
        self.not_before = Some(instant);
    }

    /// What the state means for this worker, as far as it is known.
    pub fn outlook(&self, around: &Surroundings<'_>) -> Option<Outlook> {
        let seen = self.seen.as_ref()?;
        let now_ms = seen.store_now_ms(around.now);
        Some(seen.state.outlook(now_ms, &self.viewer(around), around.rules))
    }

    /// What to do now. A read, a keep or a refresh is under way until [`Self::done`] or [`Self::failed`];
    /// a probe until [`Self::probed`], beside them.
    pub fn next(&mut self, around: &Surroundings<'_>) -> Action {
        let now = around.now;
        if self.work.is_some() {
            return Action::Rest(None);
        }
        if let Some(not_before) = self.not_before.filter(|instant| *instant > now) {
            return Action::Rest(Some(not_before));
        }
        let Some(outlook) = self.outlook(around) else { return Action::Rest(None) };
        if !matches!(outlook, Outlook::Owed { reason: Reason::Epoch, .. }) {
            self.unsettled_from = None;
            self.turn = None;
        }
        let mut wake_at: Option<Boot> = None;
        // Whether `at` has come; if not, it is an instant to wake at.
        let mut has_come = |at: Boot| {
            if at > now {
                wake_at = Some(wake_at.map_or(at, |earlier| earlier.min(at)));
            }
            at <= now
        };
        if self.read_from.is_some_and(&mut has_come) {
            self.read_from = None;
            self.work = Some(Work::Read);
            return Action::Read;
        }
        let behind = place(around.rank, STEP) + LAG;
        match outlook {
            Outlook::Newer { .. } | Outlook::Paused => {}
            Outlook::Owed { .. } if !around.ready => {}
            Outlook::Held { until_ms: ms } | Outlook::NotOwed { look_at_ms: ms } => {
                has_come(self.instant_of(ms, now) + behind);
            }
            Outlook::Owed { reason, at_ms } => {
                let mut at = self.instant_of(at_ms.max(self.since_ms(reason)), now) + behind;
                if reason == Reason::Epoch {
                    let share = *self.unsettled_from.get_or_insert(now) + place(around.rank, SHARE);
                    match self.turn {
                        Some(turn) => at = at.max(turn),
                        None if share <= now => return Action::Queue,
                        None => at = at.max(share),
                    }
                }
                if has_come(at) {
                    self.work = Some(Work::Refresh);
                    return Action::Refresh { reason };
                }
                // Whatever is waited for, the token falls due and dies meanwhile.
                if let Some(Seen { state, .. }) = &self.seen {
                    has_come(self.instant_of(state.refresh_at_ms, now) + behind);
                    has_come(self.instant_of(state.expires_at_ms, now) + behind);
                }
            }
        }
        let keep_from = self.keep_from.or_else(|| self.mend_from(around));
        if keep_from.or_else(|| self.sweep_at(around)).is_some_and(&mut has_come) {
            self.keep_from = None;
            self.work = Some(Work::Keep);
            return Action::Keep;
        }
        if !self.may_probe(around) {
            // Not kept for later: whoever becomes the first of many units would try them all at once.
            self.probe_at = self.probe_at.filter(|at| *at > now);
        } else if self.probe_at.is_some_and(&mut has_come) {
            self.probe_at = None;
            self.probing = true;
            return Action::Probe;
        }
        Action::Rest(wake_at)
    }

    /// Since when `reason` holds, by the store's clock: the places in the order are counted from there.
    fn since_ms(&self, reason: Reason) -> u64 {
        self.seen.as_ref().map_or(0, |Seen { state, .. }| match reason {
            Reason::Due => state.refresh_at_ms,
            Reason::Missing => state.expires_at_ms,
            Reason::Takeover if !state.clock_went_back(state.claimed_at_ms) => state.until_ms(),
            Reason::Takeover
            | Reason::Reported
            | Reason::Forced
            | Reason::Doubt
            | Reason::Epoch => 0,
        })
    }

    /// When the store's clock shows `at_ms`, by estimate; what is past when it was seen counts from then.
    fn instant_of(&self, at_ms: u64, now: Boot) -> Boot {
        self.seen.as_ref().map_or(now, |seen| seen.boot_of(at_ms))
    }

    /// From when the store is told that the token lives less long than its state shows, if its clock went back.
    fn mend_from(&self, around: &Surroundings<'_>) -> Option<Boot> {
        let seen = self.seen.as_ref().filter(|seen| self.went_back && seen.state.v <= VERSION)?;
        Some(seen.at + place(around.rank, STEP))
    }

    fn sweep_at(&self, around: &Surroundings<'_>) -> Option<Boot> {
        let seen = self.seen.as_ref().filter(|_| around.rank == 0)?;
        Some(seen.at + SWEEP)
    }

    /// Whether a probe could say something new: of a token that is in use, and about to be replaced by nobody.
    fn may_probe(&self, around: &Surroundings<'_>) -> bool {
        let first = around.rank == 0;
        self.seen.as_ref().is_some_and(|seen| {
            let Seen { state, .. } = seen;
            let now_ms = seen.store_now_ms(around.now);
            // A mark that waits for long hides a death that must not wait.
            let marked = state.rejected.is_some() && state.rejected_from_ms <= now_ms;
            first && !self.probing && state.usable(now_ms) && !state.intent && !marked
        })
    }

    /// Whether a change to `epoch` may have lost this unit's last claim.
    pub fn is_urgent(&self, epoch: &str) -> bool {
        self.seen.as_ref().is_some_and(|seen| {
            let recent = seen.state.claimed_at_ms.saturating_add(URGENT_MS) > seen.now_ms;
            self.recollection.memory.remembered > seen.state.fence
                || recent && seen.state.epoch != epoch
        })
    }
}

impl Seen {
    fn store_now_ms(&self, now: Boot) -> u64 {
        self.now_ms + crate::clock::millis(now.since(self.at))
    }

    /// When the store's clock showed `now_ms`, if it has gone on evenly since this was seen.
    fn boot_of(&self, now_ms: u64) -> Boot {
        self.at + Duration::from_millis(now_ms.saturating_sub(self.now_ms))
    }

    /// Whether something was heard as it happened that the store tells of `now_ms`. Of a worker that was paused, and of a store
    /// whose clock was stepped, nobody knows when it happened, nor what is told next, until the worker has asked.
    fn is_followed_by(&self, now_ms: u64, heard_at: Boot) -> bool {
        let apart_ms = self.store_now_ms(heard_at).abs_diff(now_ms);
        self.timely && Duration::from_millis(apart_ms) < OVERTAKING
    }

    /// Whether the store's clock has gone back since, if it shows `now_ms` and did not before `at`.
    fn is_ahead_of(&self, now_ms: u64, source: Source, at: Boot) -> bool {
        // What is told may be heard long after it happened.
        let told_late = source == Source::Told && now_ms >= self.now_ms;
        !told_late && now_ms + CLOCK_SLACK_MS < self.store_now_ms(at)
    }

    /// Whether this was seen of a later moment than `state`: answers and events come over different connections.
    fn overtakes(&self, state: &State, now_ms: u64, at: Boot) -> bool {
        let outcome = self.state.intent && !state.intent && state.fence == self.state.fence;
        let earlier = now_ms < self.now_ms
            && state.fence <= self.state.fence
            && !outcome
            && at.since(self.at) < OVERTAKING;
        let claim_after_its_outcome = now_ms == self.now_ms
            && state.fence == self.state.fence
            && state.intent
            && !self.state.intent;
        earlier || claim_after_its_outcome
    }
}

pub(crate) fn place(rank: u32, step: Duration) -> Duration {
    step.saturating_mul(rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::Alive;
    use crate::outlook::WECHAT;
    use crate::token::Fingerprint;

    const NOW_MS: u64 = 1_000_000_000;
    const START: Boot = Boot::new(Duration::from_secs(5_000));
    const RULES: Rules = WECHAT;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn around(after: Duration, rank: u32) -> Surroundings<'static> {
        Surroundings {
            now: START + after,
            rules: &RULES,
            identity: "w#1",
            configuration: "cfg",
            epoch: "e1",
            rank,
            ready: true,
        }
    }

    #[test]
    fn what_lacks_the_token_that_it_is_got_with_waits_for_it_and_is_looked_after_all_the_same() {
        let mut keeper = keeper(settled());
        let unready = |after, rank| Surroundings { ready: false, ..around(after, rank) };
        assert_eq!(keeper.next(&unready(s(101), 1)), Action::Rest(None));
        assert_eq!(keeper.next(&unready(SWEEP, 0)), Action::Keep);
        keeper.done();
        let due = Action::Refresh { reason: Reason::Due };
        assert_eq!(keeper.next(&around(s(102), 1)), due);
    }

    /// The next refresh is due in 100 s.
    fn settled() -> State {
        State {
            v: 1,
            epoch: "e1".to_owned(),
            fence: 7,
            nonce: "n7".to_owned(),
            fingerprint: Some(Fingerprint::of("T")),
            token_fence: 7,
            expires_at_ms: NOW_MS + 700_000,
            refresh_at_ms: NOW_MS + 100_000,
            ..State::default()
        }
    }

    fn keeper(state: State) -> Keeper {
        let mut keeper = Keeper::default();
        keeper.observe(Observed { state, now_ms: NOW_MS }, Source::Read, [START; 2], Some("e1"));
        keeper
    }

    #[test]
    fn the_first_worker_wakes_when_the_token_falls_due_and_the_others_a_step_later() {
        let due = START + s(100) + LAG;
        assert_eq!(keeper(settled()).next(&around(s(0), 0)), Action::Rest(Some(due)));
        let second = Action::Rest(Some(due + STEP));
        assert_eq!(keeper(settled()).next(&around(s(0), 1)), second);
        let mut first = keeper(settled());
        assert_eq!(first.next(&around(s(101), 0)), Action::Refresh { reason: Reason::Due });
        assert_eq!(first.next(&around(s(101), 0)), Action::Rest(None), "one action at a time");
    }

    #[test]
    fn a_worker_behind_waits_its_step_from_when_the_token_fell_due_not_from_when_it_looked() {
        let mut second = keeper(settled());
        let at = START + s(100) + STEP + LAG;
        let early = s(100) + Duration::from_millis(50);
        assert_eq!(second.next(&around(early, 1)), Action::Rest(Some(at)));
    }

    #[test]
    fn a_claim_that_was_heard_of_is_looked_at_again_when_its_lease_ends() {
        let mut second = keeper(settled());
        let claimed = State {
            intent: true,
            claimed_at_ms: NOW_MS + 100_000,
            lease_ms: 8_000,
            fence: 8,
            ..settled()
        };
        let told = Observed { state: claimed, now_ms: NOW_MS + 100_000 };
        second.observe(told, Source::Told, [START + s(100); 2], None);
        let end = START + s(108) + STEP + LAG;
        assert_eq!(second.next(&around(s(100), 1)), Action::Rest(Some(end)));
        let taken_over = Action::Refresh { reason: Reason::Takeover };
        assert_eq!(second.next(&around(s(109), 1)), taken_over);
    }

    #[test]
    fn a_key_touched_by_an_event_is_explained_once_and_by_anybody_else_is_looked_after() {
        let mut first = keeper(settled());
        first.explain(true, START);
        first.touched(TouchedKey::Reader, &around(s(0), 0));
        assert!(matches!(first.next(&around(s(0), 0)), Action::Rest(_)));
        first.touched(TouchedKey::Reader, &around(s(0), 0));
        assert_eq!(first.next(&around(s(0), 0)), Action::Keep);
    }

    #[test]
    fn the_first_worker_sweeps_a_silent_unit_and_the_others_leave_it_to_it() {
        let far = State {
            refresh_at_ms: NOW_MS + 7_000_000,
            expires_at_ms: NOW_MS + 7_200_000,
            ..settled()
        };
        assert_eq!(keeper(far.clone()).next(&around(SWEEP, 0)), Action::Keep);
        assert!(matches!(keeper(far).next(&around(SWEEP, 1)), Action::Rest(_)));
    }

    #[test]
    fn a_store_that_does_not_answer_is_left_in_peace_until_the_backoff_ends() {
        let mut first = keeper(settled());
        assert!(matches!(first.next(&around(s(101), 0)), Action::Refresh { .. }));
        first.failed(START + s(103));
        assert_eq!(first.next(&around(s(102), 0)), Action::Rest(Some(START + s(103))));
        assert!(matches!(first.next(&around(s(103), 0)), Action::Refresh { .. }));
    }

    #[test]
    fn a_change_of_epoch_is_settled_in_turn() {
        let mut first =
            keeper(State { epoch: "e0".to_owned(), claimed_at_ms: NOW_MS - 1, ..settled() });
        assert!(first.is_urgent("e1"));
        assert_eq!(first.next(&around(s(0), 0)), Action::Queue);
        first.take_turn(START + s(3));
        assert!(matches!(first.next(&around(s(0), 0)), Action::Rest(Some(_))));
        assert_eq!(first.next(&around(s(4), 0)), Action::Refresh { reason: Reason::Epoch });
    }

    #[test]
    fn an_answer_that_was_overtaken_is_no_news_but_a_clock_that_went_back_is() {
        let mut first = keeper(settled());
        let old =
            || Observed { state: State { fingerprint: None, ..settled() }, now_ms: NOW_MS - 10 };
        first.observe(old(), Source::Told, [START + s(1); 2], None);
        assert!(first.view(START).unwrap().0.fingerprint.is_some());
        first.observe(old(), Source::Told, [START + s(6); 2], None);
        assert!(first.view(START).unwrap().0.fingerprint.is_none());
    }

    #[test]
    fn only_a_worker_that_heard_of_the_commit_knows_the_tokens_life() {
        let mut first = keeper(settled());
        assert_eq!(first.life().map(|life| life.known), Some(Known::AtMost));
        let next = State { fence: 8, token_fence: 8, expires_at_ms: NOW_MS + 900_000, ..settled() };
        let told = Observed { state: next, now_ms: NOW_MS + 1_000 };
        let mut paused = first.clone();
        first.observe(told.clone(), Source::Told, [START + s(1); 2], None);
        let alive = first.life().unwrap().alive(START + s(100));
        assert_eq!(alive, Alive { token_fence: 8, for_ms: 800_000, known: Known::Exactly });
        // Of what was told at 1 s and heard at 100 s nobody knows when it was, nor of what was told right after it.
        let claimed = Observed { state: State { intent: true, ..settled() }, now_ms: NOW_MS + 900 };
        paused.observe(claimed, Source::Told, [START + s(100); 2], None);
        paused.observe(told, Source::Told, [START + s(100); 2], None);
        let life = paused.life().unwrap();
        assert_eq!((life.known, life.dies_at), (Known::AtMost, START + s(999)));
    }

    #[test]
    fn a_worker_that_read_the_token_before_the_clock_went_back_has_its_life_cut() {
        let read = |keeper: &mut Keeper, now_ms, at| {
            let observed = Observed { state: settled(), now_ms };
            keeper.observe(observed, Source::Read, [START + at; 2], None);
        };
        let mut second = keeper(settled());
        read(&mut second, NOW_MS + 50_000, s(50));
        assert!(matches!(second.next(&around(s(50), 1)), Action::Rest(_)), "nothing was stepped");
        // Stepped back by 20 s: all of the state still lies in the past.
        read(&mut second, NOW_MS + 40_000, s(60));
        assert_eq!(second.next(&around(s(60), 1)), Action::Rest(Some(START + s(60) + STEP)));
        assert_eq!(second.next(&around(s(61), 1)), Action::Keep);
        let alive = second.life().unwrap().alive(START + s(61));
        assert_eq!(alive, Alive { token_fence: 7, for_ms: 639_000, known: Known::AtMost });
    }

    #[test]
    fn a_life_that_a_witness_made_longer_is_not_cut_again_by_who_only_read_of_it() {
        let mut second = keeper(settled());
        let longer = State { expires_at_ms: NOW_MS + 2_700_000, ..settled() };
        let read = Observed { state: longer, now_ms: NOW_MS + 10_000 };
        second.observe(read, Source::Read, [START + s(10); 2], None);
        assert!(matches!(second.next(&around(s(11), 1)), Action::Rest(_)));
        assert_eq!(second.life().map(|life| life.dies_at), Some(START + s(2_700)));
    }

    #[test]
    fn a_clock_that_went_back_is_answered_once_whatever_the_others_say() {
        let mut first = keeper(settled());
        let read = |now_ms| Observed { state: settled(), now_ms };
        first.observe(read(NOW_MS + 40_000), Source::Read, [START + s(60); 2], None);
        assert_eq!(first.next(&around(s(60), 0)), Action::Keep);
        first.done();
        // Nobody followed.
        first.observe(read(NOW_MS + 41_000), Source::Read, [START + s(61); 2], None);
        assert!(matches!(first.next(&around(s(61), 0)), Action::Rest(_)));
    }

    #[test]
    fn a_worker_that_slept_through_a_step_back_claims_when_the_token_falls_due_all_the_same() {
        let mut first = keeper(settled());
        assert_eq!(first.next(&around(s(101), 0)), Action::Refresh { reason: Reason::Due });
        assert_eq!(first.life().unwrap().alive(START + s(101)).for_ms, 599_000);
    }

    #[test]
    fn a_newer_versions_state_is_not_mended() {
        let mut first = keeper(settled());
        let newer = State { v: VERSION + 1, ..settled() };
        let read = Observed { state: newer, now_ms: NOW_MS + 40_000 };
        first.observe(read, Source::Read, [START + s(60); 2], None);
        assert!(matches!(first.next(&around(s(60), 0)), Action::Rest(_)));
    }

    #[test]
    fn an_own_claim_is_remembered_until_a_later_one_is_seen_in_its_epoch() {
        let own = OwnClaim { fence: 7, nonce: "n7".to_owned(), epoch: "e1".to_owned() };
        let mut first = keeper(settled());
        first.claimed(own);
        let later = |epoch: &str| {
            let (nonce, epoch) = ("n9".to_owned(), epoch.to_owned());
            Observed { state: State { fence: 9, nonce, epoch, ..settled() }, now_ms: NOW_MS + 1 }
        };
        let mut same = first.clone();
        same.observe(later("e1"), Source::Told, [START; 2], None);
        assert_eq!(same.memory(), &Memory { remembered: 9, own: None });
        first.observe(later("e2"), Source::Told, [START; 2], None);
        assert!(first.memory().own.is_some());
    }

    #[test]
    fn a_worker_that_was_paused_dates_what_it_hears_by_the_store() {
        let mut paused = keeper(settled());
        let next = State { fence: 8, token_fence: 8, expires_at_ms: NOW_MS + 900_000, ..settled() };
        let told = Observed { state: next, now_ms: NOW_MS + 100_000 };
        // Told at 100 s, heard an hour later: the token has not lived on meanwhile.
        paused.observe(told, Source::Told, [START + s(3_700); 2], None);
        assert_eq!(paused.life().map(|life| life.known), Some(Known::AtMost));
        let due = Action::Refresh { reason: Reason::Missing };
        assert_eq!(paused.next(&around(s(3_700), 0)), due);
    }

    #[test]
    fn the_places_behind_settle_a_change_of_epoch_only_if_those_before_them_do_not() {
        let other =
            || State { epoch: "e0".to_owned(), refresh_at_ms: NOW_MS + 600_000, ..settled() };
        let mut second = keeper(other());
        assert_eq!(second.next(&around(s(0), 1)), Action::Rest(Some(START + SHARE)));
        assert_eq!(second.next(&around(SHARE, 1)), Action::Queue);
        let mut promoted = keeper(other());
        promoted.next(&around(s(0), 1));
        assert_eq!(promoted.next(&around(s(1), 0)), Action::Queue, "its turn is still to come");
    }

    #[test]
    fn a_refresh_that_may_run_comes_before_the_readers_key() {
        let mut first = keeper(State { refresh_at_ms: NOW_MS, ..settled() });
        first.unpublished(&around(s(0), 0));
        let refresh = Action::Refresh { reason: Reason::Due };
        assert_eq!(first.next(&around(s(1), 0)), refresh);
    }

    #[test]
    fn a_turn_serves_one_change_of_epoch_and_not_the_next() {
        let of = |epoch: &str| State { epoch: epoch.to_owned(), ..settled() };
        let mut first = keeper(of("e0"));
        assert_eq!(first.next(&around(s(0), 0)), Action::Queue);
        first.take_turn(START);
        // Another worker settles it; later the epoch changes once more.
        let told = |epoch, now_ms| Observed { state: of(epoch), now_ms };
        first.observe(told("e1", NOW_MS + 1), Source::Told, [START; 2], None);
        assert!(matches!(first.next(&around(s(1), 0)), Action::Rest(_)));
        first.observe(told("e0", NOW_MS + 2), Source::Told, [START; 2], None);
        assert_eq!(first.next(&around(s(2), 0)), Action::Queue);
    }
}

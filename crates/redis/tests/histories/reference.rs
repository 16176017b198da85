//! The reference: the core's state and the keys beside it, with the clock, the epoch and the claims that were made.

use std::fmt;

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;
use zhongkong_core::credential::Worker;
use zhongkong_core::nature::Nature;
use zhongkong_core::outlook::{Rules, Viewer};
use zhongkong_core::report::{DAY_MS, DAY_OFFSET_MS, day_of};
use zhongkong_core::state::{Memory, OwnClaim, State, VERSION};
use zhongkong_redis::HistoryEntry;

use crate::call::{Call, Told};
use crate::spoil::Foreign;
use crate::step::{self, ClaimStep, Pick, Step};

const START_US: u64 = 1_795_380_778_000_123;
/// So many of the last states are kept to go back to.
const PAST_MAX: usize = 8;

/// How the workers learn the store's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Epochs {
    /// The claim script reads it.
    Read,
    /// Scripts may not read it: the worker says what it read.
    Told,
    /// Nobody may read it: the rule is off.
    Off,
}

/// What a history is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    /// Anything, by a few workers.
    Mixed,
    /// So many workers that their refusals do not all fit into the state.
    Crowd,
    /// Tokens that are reported, replaced and reported again.
    Reports,
}

/// A claim that was made.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    identity: String,
    fence: u64,
    nonce: String,
    /// Nobody has told its outcome yet.
    pub(crate) open: bool,
}

/// A key with a life of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Its text; none if it is of another type.
    pub(crate) text: Option<String>,
    /// When it is gone; never if there is none.
    pub(crate) dies_at_ms: Option<u64>,
}

/// What the store must hold after the steps so far.
#[derive(Clone)]
pub(crate) struct History {
    pub(crate) nature: Nature,
    pub(crate) epochs: Epochs,
    pub(crate) scene: Scene,
    pub(crate) now_us: u64,
    /// How often the server was promoted.
    pub(crate) promotions: usize,
    pub(crate) model: State,
    pub(crate) reader: Option<Key>,
    pub(crate) lock: Option<Key>,
    /// The credential's history, oldest first.
    pub(crate) kept: Vec<HistoryEntry>,
    pub(crate) claims: Vec<Claim>,
    /// Calls with their arguments, in their order.
    pub(crate) calls: Vec<Call>,
    /// What the last step told its caller, if it was a call.
    pub(crate) told: Option<Told>,
    /// Somebody wrote into the state by hand.
    pub(crate) spoilt: bool,
    past: Vec<State>,
    requests: u32,
}

pub(crate) struct Reference;

impl ReferenceStateMachine for Reference {
    type State = History;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<History> {
        let nature = prop_oneof![Just(Nature::WECHAT), Just(Nature::Idempotent)];
        let epochs =
            prop_oneof![6 => Just(Epochs::Read), 1 => Just(Epochs::Told), 1 => Just(Epochs::Off)];
        let scene = prop_oneof![
            8 => Just(Scene::Mixed),
            1 => Just(Scene::Crowd),
            1 => Just(Scene::Reports),
        ];
        (nature, epochs, scene)
            .prop_map(|(nature, epochs, scene)| History::new(nature, epochs, scene))
            .boxed()
    }

    fn transitions(history: &History) -> BoxedStrategy<Step> {
        step::next(history)
    }

    fn preconditions(history: &History, step: &Step) -> bool {
        match step {
            Step::Again { back } => usize::from(*back) < history.calls.len(),
            Step::DeleteReader
            | Step::OverwriteReader(Foreign::Instead | Foreign::Forever | Foreign::For { .. }) => {
                history.reader.is_some()
            }
            Step::DeleteLock => history.lock.is_some(),
            Step::DeleteState | Step::ChangeEpoch | Step::Spoil(_) => history.model.exists(),
            Step::RewindFence => history.model.fence > 10,
            Step::LoseWrites { back } => usize::from(*back) <= history.past.len(),
            Step::Upgrade => history.model.exists() && !history.is_newer(),
            Step::Downgrade => history.is_newer(),
            _ => true,
        }
    }

    fn apply(mut history: History, step: &Step) -> History {
        let call = history.call_of(step);
        history.past.push(history.model.clone());
        if history.past.len() > PAST_MAX {
            history.past.remove(0);
        }
        history.told = call.map(|call| history.perform(call));
        if history.told.is_none() {
            history.disturb(step);
        }
        history.bury();
        history
    }
}

impl Key {
    pub(crate) fn text(text: impl Into<String>, dies_at_ms: u64) -> Self {
        Self { text: Some(text.into()), dies_at_ms: Some(dies_at_ms) }
    }
}

impl History {
    pub(crate) fn new(nature: Nature, epochs: Epochs, scene: Scene) -> Self {
        Self {
            nature,
            epochs,
            scene,
            now_us: START_US,
            promotions: 0,
            model: State::default(),
            reader: None,
            lock: None,
            kept: Vec::new(),
            claims: Vec::new(),
            calls: Vec::new(),
            told: None,
            spoilt: false,
            past: Vec::new(),
            requests: 0,
        }
    }

    pub(crate) const fn now_ms(&self) -> u64 {
        self.now_us / 1_000
    }

    /// The day of +08:00.
    pub(crate) const fn day(&self) -> u64 {
        day_of(self.now_ms())
    }

    pub(crate) const fn rules(&self) -> Rules {
        Rules {
            nature: self.nature,
            request_timeout_ms: 1_000,
            lease_ms: 2_000,
            drain_ms: 10_000,
            spacing_ms: 4_000,
            overlap_ms: 30_000,
        }
    }

    /// The store's epoch by a name of the test's own: the true one is the server's.
    pub(crate) fn epoch(&self) -> String {
        match self.epochs {
            Epochs::Read | Epochs::Told => epoch_name(self.promotions),
            Epochs::Off => String::new(),
        }
    }

    /// Whether a newer version wrote the state.
    pub(crate) const fn is_newer(&self) -> bool {
        self.model.v > VERSION
    }

    /// A worker as it claims, and what it remembers.
    pub(crate) fn claimant(&self, step: &ClaimStep) -> (Worker, Viewer) {
        let ClaimStep { worker, old_epoch, forget, ahead, stale, .. } = *step;
        let claimant = Worker::new(format!("w{worker}").parse().unwrap(), u32::from(worker));
        let own = self.claims.iter().rev().find(|claim| claim.identity == claimant.identity);
        let own = own.map(|claim| OwnClaim {
            fence: if forget { 0 } else { claim.fence },
            nonce: claim.nonce.clone(),
            epoch: if old_epoch { "old".to_owned() } else { self.epoch() },
        });
        let remembered = if ahead == 2 { self.model.fence + 5 } else { 0 };
        let off = self.epochs == Epochs::Off;
        let viewer = Viewer {
            identity: claimant.identity.clone(),
            configuration: format!("cfg{}", worker % 7),
            epoch: if stale && !off { "stale".to_owned() } else { self.epoch() },
            memory: Memory { remembered, own: own.filter(|_| ahead > 0) },
        };
        (claimant, viewer)
    }

    /// A nonce that no other request has; or that of the last claim.
    pub(crate) fn nonce(&mut self, repeat: bool) -> String {
        let fresh = format!("n{}", self.requests);
        self.requests += 1;
        self.claims.last().filter(|_| repeat).map_or(fresh, |claim| claim.nonce.clone())
    }

    /// Fence and nonce of a claim; those of none if there is no such claim.
    pub(crate) fn picked(&self, pick: Pick) -> (u64, String) {
        let (back, open_only) = match pick {
            Pick::Open(back) => (back, true),
            Pick::Any(back) => (back, false),
        };
        let mut claims = self.claims.iter().rev().filter(|claim| claim.open || !open_only);
        let claim = claims.nth(usize::from(back));
        claim.map(|claim| (claim.fence, claim.nonce.clone())).unwrap_or_default()
    }

    pub(crate) fn note_claim(&mut self, identity: String, fence: u64, nonce: String) {
        if !self.claims.iter().any(|claim| claim.fence == fence && claim.nonce == nonce) {
            self.claims.push(Claim { identity, fence, nonce, open: true });
        }
    }

    pub(crate) fn note_outcome(&mut self, fence: u64, nonce: &str) {
        for claim in &mut self.claims {
            claim.open &= claim.fence != fence || claim.nonce != nonce;
        }
    }

    /// Keys whose time is over are gone, also if the clock goes back after that.
    fn bury(&mut self) {
        let now_ms = self.now_ms();
        for key in [&mut self.reader, &mut self.lock] {
            key.take_if(|key| key.dies_at_ms.is_some_and(|at_ms| at_ms < now_ms));
        }
    }

    /// What happens to a Redis without the workers' doing.
    fn disturb(&mut self, step: &Step) {
        match *step {
            Step::Pass { ms } => self.now_us = self.now_us.saturating_add_signed(ms * 1_000),
            Step::ToMidnight { ms } => {
                let midnight_ms = (self.day() + 1) * DAY_MS - DAY_OFFSET_MS;
                self.now_us = midnight_ms.saturating_add_signed(ms) * 1_000;
            }
            Step::DeleteReader => self.reader = None,
            Step::OverwriteReader(how) => self.overwrite(how),
            Step::DeleteLock => self.lock = None,
            Step::DeleteState => self.model = State::default(),
            Step::ChangeEpoch => "another".clone_into(&mut self.model.epoch),
            Step::Promote => self.promotions += 1,
            Step::RewindFence => self.model.fence -= 7,
            Step::LoseWrites { back } => {
                self.model = self.past[self.past.len() - usize::from(back)].clone();
            }
            Step::Spoil(ref spoilt) => {
                self.model = spoilt.applied_to(&self.model);
                self.spoilt = true;
            }
            Step::Upgrade => self.model.v = VERSION + 1,
            Step::Downgrade => self.model.v = VERSION,
            Step::Wipe => {
                self.model = State::default();
                (self.reader, self.lock) = (None, None);
                self.kept.clear();
            }
            _ => {}
        }
    }

    fn overwrite(&mut self, how: Foreign) {
        let now_ms = self.now_ms();
        let key = match (how, self.reader.take()) {
            (Foreign::Text, _) => Key { text: Some("foreign".to_owned()), dies_at_ms: None },
            (Foreign::Instead, Some(key)) => Key { text: Some("foreign".to_owned()), ..key },
            (Foreign::Forever, Some(key)) => Key { dies_at_ms: None, ..key },
            (Foreign::For { shift_ms }, Some(key)) => {
                let end_ms =
                    key.dies_at_ms.unwrap_or(now_ms + 60_000).saturating_add_signed(shift_ms);
                Key { dies_at_ms: Some(end_ms.max(now_ms + 1)), ..key }
            }
            (Foreign::List | Foreign::Instead | Foreign::Forever | Foreign::For { .. }, _) => {
                Key { text: None, dies_at_ms: None }
            }
        };
        self.reader = Some(key);
    }
}

/// How a history began: all else follows from its steps.
impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, epochs {:?}, scene {:?}", self.nature, self.epochs, self.scene)
    }
}

/// The name of the epoch after so many promotions.
pub(crate) fn epoch_name(promotions: usize) -> String {
    format!("epoch-{promotions}")
}

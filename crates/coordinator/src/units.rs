//! The table of keepers and their timers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::oneshot;
use zhongkong_core::clock::Boot;
use zhongkong_core::credential::{CredentialId, Kind, Unit};
use zhongkong_core::keeper::{Keeper, Surroundings};
use zhongkong_core::order::rank;
use zhongkong_core::outlook::Rules;
use zhongkong_core::publisher::Publisher;
use zhongkong_core::refusal::Refusal;
use zhongkong_core::state::{Mark, State, VERSION};
use zhongkong_core::timing::Timing;
use zhongkong_core::token::Fingerprint;

use crate::epochs::Epochs;
use crate::handle::RefreshAnswer;
use crate::settings::{CoordinatorSettings, CredentialSettings};

/// The most callers that may wait for one unit's refresh.
const WAITERS_MAX: usize = 1_024;

/// A unit that this worker keeps.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) unit: Unit,
    pub(crate) credential: Arc<CredentialSettings>,
    pub(crate) rules: Rules,
    pub(crate) timing: Timing,
    /// The credential's keyed hash; it changes with the secret. Of a ticket: the fingerprint of the access token that it
    /// would be got with, which is all that its request holds; empty if there is none.
    pub(crate) configuration: String,
    /// What the unit's token is got with is there.
    pub(crate) ready: bool,
    /// The epoch of the primary that has the unit, as last heard; empty where the epoch rule is off.
    pub(crate) epoch: Arc<str>,
    pub(crate) rank: u32,
    pub(crate) keeper: Keeper,
    pub(crate) waiters: Vec<Waiter>,
    /// Failures of the store with this unit in a row.
    pub(crate) store_failures: u32,
    pub(crate) publisher: Publisher,
    /// When the keys of SDKs are looked at next.
    pub(crate) look_at: Option<Boot>,
    /// Failures to look after them in a row.
    pub(crate) look_failures: u32,
    /// The layouts whose keys cannot be written, as the log says.
    pub(crate) refused_layouts: BTreeSet<&'static str>,
    /// The token of which it was reported that somebody removed it from such a key.
    pub(crate) removal_reported: Option<Fingerprint>,
    /// The last token of somebody else's that was found at such a key.
    pub(crate) stranger: Option<Fingerprint>,
    wake_at: Option<Boot>,
    warned_clamped: bool,
    warned_newer: bool,
}

/// Somebody who waits for the outcome of a refresh.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// The token's fence and number, and the last claim's fence, when the wait began.
    pub(crate) token_fence: u64,
    pub(crate) generation: u64,
    pub(crate) fence: u64,
    /// An operator asked: a token that was adopted is no answer.
    pub(crate) forced: bool,
    pub(crate) answer: oneshot::Sender<RefreshAnswer>,
}

/// What every unit sees of the world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Boot,
    pub(crate) identity: String,
    pub(crate) epochs: Epochs,
    pub(crate) living: Vec<String>,
}

/// All units of this worker.
#[derive(Debug, Default)]
pub(crate) struct Units {
    slots: BTreeMap<Unit, Slot>,
    timers: BTreeSet<(Boot, Unit)>,
}

impl Slot {
    fn new(unit: Unit, credential: Arc<CredentialSettings>, world: &World) -> Self {
        let keys = credential.layouts(unit.kind).flat_map(|layout| &layout.keys);
        let ttl_min = keys.filter_map(|key| key.ttl_max).min();
        let is_ticket = unit.kind.ticket().is_some();
        let configuration =
            if is_ticket { String::new() } else { credential.upstream.configuration() };
        Self {
            rules: Rules::of(unit.kind, credential.nature, &credential.timing),
            timing: credential.timing_of(unit.kind),
            configuration,
            ready: !is_ticket,
            epoch: "".into(),
            rank: rank(&unit, &world.identity, &world.living),
            unit,
            credential,
            keeper: Keeper::default(),
            waiters: Vec::new(),
            store_failures: 0,
            publisher: Publisher::new(ttl_min),
            look_at: None,
            look_failures: 0,
            refused_layouts: BTreeSet::new(),
            removal_reported: None,
            stranger: None,
            wake_at: None,
            warned_clamped: false,
            warned_newer: false,
        }
    }

    pub(crate) fn around<'a>(&'a self, world: &'a World) -> Surroundings<'a> {
        let World { now, identity, .. } = world;
        let Self { rules, configuration, epoch, rank, ready, .. } = self;
        let (now, rank, ready) = (*now, *rank, *ready);
        Surroundings { now, rules, identity, configuration, epoch, rank, ready }
    }

    /// The keeper, and what it needs to decide.
    pub(crate) fn keeper_and<'a>(
        &'a mut self,
        world: &'a World,
    ) -> (&'a mut Keeper, Surroundings<'a>) {
        let Self { keeper, rules, configuration, epoch, rank, ready, .. } = self;
        let World { now, identity, .. } = world;
        let (now, rank, ready) = (*now, *rank, *ready);
        (keeper, Surroundings { now, rules, identity, configuration, epoch, rank, ready })
    }

    /// Whether a change of epoch may have hurt this unit, so that it is settled first.
    pub(crate) fn is_urgent(&self) -> bool {
        self.keeper.is_urgent(&self.epoch)
    }

    /// Plans when the token is tried against its upstream: after half of `interval` to one and a half, so that tokens
    /// fetched together are not tried together.
    pub(crate) fn plan_probe(&mut self, settings: &CoordinatorSettings, now: Boot) {
        let wanted = settings.probe_interval.filter(|_| self.keeper.needs_a_probe());
        let Some(interval) = wanted else { return };
        if self.credential.has_probe_of(self.unit.kind) {
            let spread = settings.chance.random().below(interval);
            self.keeper.probe_at(now + interval / 2 + spread);
        }
    }

    /// Says once that a newer version wrote the state.
    pub(crate) fn warn_newer(&mut self) {
        let v = self.keeper.view(Boot::default()).map_or(0, |(state, _)| state.v);
        if v > VERSION && !std::mem::replace(&mut self.warned_newer, true) {
            tracing::warn!(
                credential.id = %self.unit.id, kind = %self.unit.kind, state.version = v,
                "a newer version of zhongkong wrote this unit's state; this worker leaves it alone. Upgrade it"
            );
        }
    }

    /// Says once that `ahead` is more than half of the token's life.
    pub(crate) fn warn_clamped(&mut self) {
        if !self.warned_clamped {
            self.warned_clamped = true;
            tracing::warn!(
                credential.id = %self.unit.id,
                "refresh.ahead is more than half of the token's life; half of the life is used"
            );
        }
    }

    /// Adds `waiter`, unless there are too many: then it is dropped, and its caller told so.
    pub(crate) fn wait(&mut self, waiter: Waiter) {
        self.waiters.retain(|waiter| !waiter.answer.is_closed());
        if self.waiters.len() < WAITERS_MAX {
            self.waiters.push(waiter);
        }
    }
}

impl Waiter {
    /// The answer, if `state` has it: a token of a later claim, or one that ended without, because the upstream refuses all.
    pub(crate) fn outcome(
        &self,
        state: &State,
        now_ms: u64,
        refusal: Option<&Refusal>,
    ) -> Option<RefreshAnswer> {
        let waits = self.forced && state.rejected.is_some_and(Mark::is_an_operators);
        if state.token_fence != self.token_fence && state.usable(now_ms) && !waits {
            let another = state.generation != self.generation;
            return Some(if another { RefreshAnswer::Refreshed } else { RefreshAnswer::Unchanged });
        }
        let tried = state.fence > self.fence && !state.intent;
        let refusal = refusal.filter(|_| tried)?;
        Some(RefreshAnswer::Failed { refusal: Box::new(refusal.clone()), now_ms })
    }
}

impl Units {
    /// Keeps `credentials` from now on: new ones are added, others end, and what is known of the rest stays.
    /// Returns those that ended.
    pub(crate) fn reload(
        &mut self,
        credentials: &[CredentialSettings],
        world: &World,
    ) -> impl Iterator<Item = Unit> + use<> {
        let mut old = std::mem::take(&mut self.slots);
        self.timers.clear();
        for credential in credentials {
            let credential = Arc::new(credential.clone());
            for unit in credential.units() {
                let mut slot = Slot::new(unit.clone(), Arc::clone(&credential), world);
                if let Some(before) = old.remove(&unit) {
                    slot.keeper = before.keeper;
                    slot.waiters = before.waiters;
                    slot.epoch = before.epoch;
                }
                self.slots.insert(unit, slot);
            }
        }
        old.into_keys()
    }

    pub(crate) fn get(&self, unit: &Unit) -> Option<&Slot> {
        self.slots.get(unit)
    }

    pub(crate) fn get_mut(&mut self, unit: &Unit) -> Option<&mut Slot> {
        self.slots.get_mut(unit)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.values()
    }

    /// The units of one credential, without a look at all the others.
    pub(crate) fn of(&self, id: &CredentialId) -> impl Iterator<Item = &Slot> {
        let unit = |kind| Unit { id: id.clone(), kind };
        Kind::ALL.into_iter().filter_map(move |kind| self.slots.get(&unit(kind)))
    }

    /// The units of the first `credentials` credentials whose ids follow `after`, or of the first of all.
    pub(crate) fn following(&self, after: Option<&CredentialId>, credentials: usize) -> Vec<&Slot> {
        let last_kind = Kind::ALL.into_iter().max();
        let last = after.zip(last_kind).map(|(id, kind)| Unit { id: id.clone(), kind });
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut slots, mut seen) = (Vec::new(), 0);
        let mut current: Option<&CredentialId> = None;
        for slot in self.slots.range((from, Bound::Unbounded)).map(|(_, slot)| slot) {
            if current != Some(&slot.unit.id) {
                if seen == credentials {
                    break;
                }
                seen += 1;
                current = Some(&slot.unit.id);
            }
            slots.push(slot);
        }
        slots
    }

    pub(crate) fn names(&self) -> Vec<Unit> {
        self.slots.keys().cloned().collect()
    }

    /// The order of workers changed: every unit finds its place anew.
    pub(crate) fn reorder(&mut self, world: &World) {
        for slot in self.slots.values_mut() {
            slot.rank = rank(&slot.unit, &world.identity, &world.living);
        }
    }

    /// Wakes `unit` at `at`, and not at the instant that was set before.
    pub(crate) fn wake(&mut self, unit: &Unit, at: Option<Boot>) {
        let Some(slot) = self.slots.get_mut(unit) else { return };
        if let Some(before) = slot.wake_at.take() {
            self.timers.remove(&(before, unit.clone()));
        }
        if let Some(at) = at {
            slot.wake_at = Some(at);
            self.timers.insert((at, unit.clone()));
        }
    }

    /// The earliest instant at which a unit wakes.
    pub(crate) fn next_wake(&self) -> Option<Boot> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// A unit whose instant has come.
    pub(crate) fn pop_due(&mut self, now: Boot) -> Option<Unit> {
        if self.timers.first()?.0 > now {
            return None;
        }
        let (_, unit) = self.timers.pop_first()?;
        if let Some(slot) = self.slots.get_mut(&unit) {
            slot.wake_at = None;
        }
        Some(unit)
    }
}

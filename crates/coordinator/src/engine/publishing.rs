//! The keys of SDKs, kept current: when a look is due, what it brought, and what it means that somebody removed one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use zhongkong_core::clock::Boot;
use zhongkong_core::credential::Unit;
use zhongkong_core::ports::StoreError;
use zhongkong_core::publication::{Outcome, Tracked, Was};
use zhongkong_core::token::Fingerprint;

use super::reports::Reporter;
use super::{Coordinator, Done, presence};
use crate::publish::{Shown, publish};
use crate::telemetry;

/// Looks under way at once.
const LOOKS: usize = 64;

/// The looks to come, and those under way.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    timers: BTreeSet<(Boot, Unit)>,
    running: usize,
}

impl Publishing {
    /// Units are kept anew: whoever of them needs a look says so again.
    pub(super) fn forget_timers(&mut self) {
        self.timers.clear();
    }

    /// The earliest instant at which a look is due; none while there is no room for another.
    pub(super) fn next_wake(&self) -> Option<Boot> {
        if self.running >= LOOKS { None } else { self.timers.first().map(|(at, _)| *at) }
    }
}

impl Coordinator {
    /// Has the store tell of the keys of all SDKs.
    pub(super) fn track(&self) {
        let mut keys = HashMap::new();
        let mut prefixes = BTreeSet::new();
        for slot in self.units.iter() {
            for layout in slot.credential.layouts(slot.unit.kind) {
                for key in &layout.keys {
                    keys.insert(key.name.clone(), slot.unit.clone());
                    prefixes.insert(key.tracked().to_owned());
                }
            }
        }
        let prefixes = Tracked::fewest(prefixes.iter().map(String::as_str));
        self.store.track(Arc::new(Tracked { keys, prefixes }));
    }

    /// One of the keys that SDKs read of `unit` was touched.
    pub(super) fn touched_by_anybody(&mut self, unit: &Unit) {
        let now = self.world.now;
        if let Some(slot) = self.units.get_mut(unit) {
            let rank = slot.rank;
            slot.publisher.touched(now, rank);
        }
        self.plan_look(unit);
    }

    /// This worker changed the unit's token: it looks at once, whichever its place.
    pub(super) fn show_at_once(&mut self, unit: &Unit) {
        if let Some(slot) = self.units.get_mut(unit) {
            slot.publisher.missed(self.world.now, 0);
        }
        self.plan_look(unit);
    }

    /// Sets the unit's timer anew.
    pub(super) fn plan_look(&mut self, unit: &Unit) {
        let Some(slot) = self.units.get_mut(unit) else { return };
        if slot.credential.layouts(unit.kind).next().is_none() {
            return;
        }
        let at = slot.publisher.look_at(slot.rank);
        let before = std::mem::replace(&mut slot.look_at, at);
        if before != at {
            if let Some(before) = before {
                self.publishing.timers.remove(&(before, unit.clone()));
            }
            if let Some(at) = at {
                self.publishing.timers.insert((at, unit.clone()));
            }
        }
    }

    /// Sets every unit's timer anew: the order of workers changed.
    pub(super) fn plan_looks(&mut self) {
        for unit in self.units.names() {
            self.plan_look(&unit);
        }
    }

    /// Begins the looks that are due.
    pub(super) fn go_on_looking(&mut self) {
        while self.publishing.next_wake().is_some_and(|at| at <= self.world.now) {
            let Some((_, unit)) = self.publishing.timers.pop_first() else { return };
            let Some(slot) = self.units.get_mut(&unit) else { continue };
            slot.look_at = None;
            slot.publisher.look(self.world.now);
            self.publishing.running += 1;
            let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
            let (settings, credential) = (Arc::clone(&self.settings), Arc::clone(&slot.credential));
            self.tasks.spawn(async move {
                settings.reach("before_look").await;
                let asked_at = clock.now();
                let shown = match store.copy(&unit).await {
                    Ok(observed) => {
                        settings.reach("before_publish").await;
                        let now = (&observed, asked_at);
                        Ok(publish(&store, &clock, &credential, &unit, now).await)
                    }
                    Err(error) => Err(error),
                };
                Done::Looked(unit, shown)
            });
        }
    }

    /// A look ended; without anything shown where there is no token, or an operator paused the unit.
    pub(super) fn looked(&mut self, unit: &Unit, looked: Result<Option<Shown>, StoreError>) {
        self.publishing.running -= 1;
        match looked {
            Ok(Some(shown)) => {
                let removed = self.shown(unit, &shown);
                if removed && !self.look_into_strangers(unit, &shown) {
                    self.was_removed(unit, &shown.fingerprint);
                }
            }
            Ok(None) => {
                if let Some(slot) = self.units.get_mut(unit) {
                    slot.publisher.looked();
                }
            }
            Err(error) => {
                tracing::debug!(credential.id = %unit.id, kind = %unit.kind, %error, "redis did not answer");
                self.look_later(unit);
            }
        }
        self.plan_look(unit);
    }

    /// A token was published at the keys of SDKs, as far as that succeeded. Returns whether somebody had removed or overwritten
    /// one at which it had been published before.
    pub(super) fn shown(&mut self, unit: &Unit, shown: &Shown) -> bool {
        let Some(slot) = self.units.get_mut(unit) else { return false };
        let aloud = slot.removal_reported.as_ref() != Some(&shown.fingerprint);
        let (mut removed, mut failed, mut fenced) = (false, false, false);
        for (layout, result) in shown.credential.layouts(unit.kind).zip(&shown.results) {
            let name = layout.family.name;
            match result {
                Ok(outcomes) => {
                    telemetry::published(unit, layout, outcomes, aloud);
                    slot.refused_layouts.remove(name);
                    fenced |= outcomes.contains(&Outcome::Fenced);
                    // One that ends before the token may end before it is renewed.
                    removed |= outcomes.iter().zip(&layout.keys).any(|(outcome, key)| {
                        let gone = matches!(outcome, Outcome::Repaired(Was::Gone | Was::Other(_)));
                        gone && key.ttl_max.is_none()
                    });
                }
                Err(error) => {
                    failed = true;
                    let is_news = slot.refused_layouts.insert(name);
                    telemetry::not_published(unit, layout, error, is_news);
                }
            }
        }
        if failed || fenced {
            self.look_later(unit);
        } else {
            slot.look_failures = 0;
            slot.publisher.looked();
            // With another configuration there may be other keys.
            if Arc::ptr_eq(&slot.credential, &shown.credential) {
                slot.publisher.showed(shown.token_fence, shown.expires_at_ms);
            }
        }
        removed
    }

    /// Looks at the keys of `unit` again after a while.
    fn look_later(&mut self, unit: &Unit) {
        let random = self.settings.chance.random();
        let Some(slot) = self.units.get_mut(unit) else { return };
        let wait = presence::store_backoff(&mut slot.look_failures, random);
        slot.publisher.failed(self.world.now + wait);
    }

    /// Somebody removed or overwrote what an SDK reads, as some SDKs do when the platform refused the token: as good as a
    /// report, once for each token. What the workers write themselves cannot come here, nor a key that ended with its token.
    pub(super) fn was_removed(&mut self, unit: &Unit, fingerprint: &Fingerprint) {
        let Some(slot) = self.units.get_mut(unit) else { return };
        let told = slot.removal_reported.replace(fingerprint.clone());
        // Nobody learns from the platform that a ticket was refused, and without a probe the mere word would cost a fetch.
        let counts = slot.credential.has_probe_of(unit.kind);
        if counts && told.as_ref() != Some(fingerprint) {
            self.report(unit.clone(), fingerprint.clone(), Reporter::Nobody);
        }
    }
}

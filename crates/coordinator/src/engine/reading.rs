//! Reading every unit again: after a reconnect, whatever happened before was missed.

use std::collections::VecDeque;
use std::sync::Arc;

use zhongkong_core::clock::Boot;
use zhongkong_core::credential::Unit;
use zhongkong_core::ports::{Observed, Reading, StoreError};

use super::{Asked, Coordinator, Done, Sighting, presence};

/// Units read in one pipeline: enough to be quick, few enough not to hold Redis up.
const READ_AT_ONCE: usize = 500;

/// How far a reading of all units has come.
#[derive(Debug, Default)]
pub(super) struct Resync {
    pub(super) left: VecDeque<Vec<Unit>>,
    pub(super) reading: bool,
    /// A new round is to begin.
    pub(super) wanted: bool,
    pub(super) retry_at: Option<Boot>,
    pub(super) failures: u32,
}

impl Coordinator {
    /// The store's epoch, as just heard.
    pub(super) fn enter(&mut self, epoch: &str) {
        if self.world.epoch == epoch {
            return;
        }
        if !self.world.epoch.is_empty() {
            tracing::warn!(
                epoch,
                "redis was restarted, replaced or failed over: every token is fetched anew to be sure of it, at a gentle pace"
            );
        }
        epoch.clone_into(&mut self.world.epoch);
        self.resync.wanted = true;
    }

    pub(super) fn go_on_reading(&mut self) {
        if self.resync.reading || self.resync.retry_at.is_some_and(|at| at > self.world.now) {
            return;
        }
        if self.resync.wanted {
            let names = self.units.names();
            let left = names.chunks(READ_AT_ONCE).map(<[Unit]>::to_vec).collect();
            self.resync = Resync { left, ..Resync::default() };
            if names.is_empty() {
                self.resync.left.push_back(Vec::new());
            }
        }
        self.resync.retry_at = None;
        let Some(units) = self.resync.left.pop_front() else { return };
        self.resync.reading = true;
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        self.tasks.spawn(async move {
            let asked = Asked::the(clock, store.read(&units)).await;
            Done::ReadMany(units, asked)
        });
    }

    pub(super) fn read_one(&mut self, unit: &Unit, asked: Asked<Reading>) {
        let Asked { at, answer } = asked;
        let read = answer.and_then(|reading| {
            self.enter(&reading.epoch);
            let Reading { epoch, now_ms, mut units } = reading;
            let none = || Err(StoreError::Unavailable("no answer".to_owned()));
            let (state, _) = units.pop().unwrap_or_else(none)?;
            Ok((epoch, Observed { state, now_ms }))
        });
        match read {
            Ok((epoch, observed)) => {
                let sighting = Sighting { epoch: Some(&epoch), ..Sighting::read(at) };
                self.answered(unit, observed, sighting);
            }
            Err(error) => self.unanswered(unit, &error),
        }
    }

    pub(super) fn read_many(&mut self, units: Vec<Unit>, asked: Asked<Reading>) {
        self.resync.reading = false;
        let Asked { at, answer } = asked;
        let reading = match answer {
            Ok(reading) => reading,
            Err(error) => {
                self.tell_unreachable(&error);
                let wait = presence::store_backoff(
                    &mut self.resync.failures,
                    self.settings.chance.random(),
                );
                self.resync.retry_at = Some(self.world.now + wait);
                self.resync.left.push_front(units);
                return;
            }
        };
        self.resync.failures = 0;
        // What was read before in this round stays true: another epoch only makes more of it owed.
        if self.world.epoch != reading.epoch {
            let again = self.resync.wanted;
            self.enter(&reading.epoch);
            self.resync.wanted = again;
        }
        // One that refuses writes is read all the same.
        if !matches!(self.trouble, Some(StoreError::Refused(_))) {
            self.store_is(true);
        }
        let Reading { epoch, now_ms, units: read } = reading;
        let sighting = Sighting { epoch: Some(&epoch), ..Sighting::read(at) };
        for (unit, read) in units.iter().zip(read) {
            let (state, published) = match read {
                Ok(read) => read,
                Err(error) => {
                    tracing::error!(
                        credential.id = %unit.id, kind = %unit.kind, %error,
                        "this unit's state in redis is spoilt, and nothing can be refreshed until its key is deleted"
                    );
                    continue;
                }
            };
            let usable = state.usable(now_ms);
            self.observe(unit, Observed { state, now_ms }, sighting);
            let Some(slot) = self.units.get_mut(unit) else { continue };
            let (keeper, around) = slot.keeper_and(&self.world);
            if usable && !published {
                keeper.unpublished(&around);
            }
        }
        if self.resync.left.is_empty() && !self.resync.wanted {
            self.decide_all();
        }
    }

    /// Decides for every unit; those that a change of epoch may have hurt come first.
    pub(super) fn decide_all(&mut self) {
        let world = &self.world;
        let (mut urgent, mut rest) = (Vec::new(), Vec::new());
        for slot in self.units.iter() {
            let group = if slot.is_urgent(world) { &mut urgent } else { &mut rest };
            group.push(slot.unit.clone());
        }
        for unit in urgent.iter().chain(&rest) {
            self.decide(unit);
        }
    }
}

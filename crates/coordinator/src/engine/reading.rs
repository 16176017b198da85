//! Reading every unit again: after a reconnect, whatever happened before was missed.

use std::collections::VecDeque;
use std::sync::Arc;

use zhongkong_core::clock::Boot;
use zhongkong_core::credential::Unit;
use zhongkong_core::ports::{Observed, Reading, StoreError};

use super::{Asked, Coordinator, Done, Readings, Sighting, presence};
use crate::epochs::News;

/// Units read in one pipeline: enough to be quick, few enough not to hold Redis up.
const READ_AT_ONCE: usize = 500;

/// How far a reading of all units has come.
#[derive(Debug, Default)]
pub(super) struct Resync {
    pub(super) left: VecDeque<Vec<Unit>>,
    pub(super) reading: bool,
    /// Units of this round that could not be read while others could.
    pub(super) missed: Vec<Unit>,
    /// Only such units are left.
    pub(super) catching_up: bool,
    /// A new round is to begin.
    pub(super) wanted: bool,
    pub(super) retry_at: Option<Boot>,
    pub(super) failures: u32,
}

impl Coordinator {
    /// The epoch of the primary that has `unit`, as just heard.
    pub(super) fn enter(&mut self, unit: &Unit, epoch: &str) {
        let (epoch, news) = self.world.epochs.hear(epoch);
        if let Some(slot) = self.units.get_mut(unit) {
            slot.epoch = epoch;
        }
        self.reread(news);
    }

    /// Has every unit read again if an epoch is news: which of them it concerns, each will tell.
    pub(super) fn reread(&mut self, news: News) {
        if news == News::Another {
            tracing::warn!(
                "redis, or a primary of it, was restarted, replaced or failed over: every token there is fetched anew to be \
                 sure of it, at a gentle pace"
            );
        }
        self.resync.wanted |= news != News::Old;
    }

    pub(super) fn go_on_reading(&mut self) {
        let later = self.resync.retry_at.is_some_and(|at| at > self.world.now);
        // What does not answer holds up no reading of the rest.
        let other = self.resync.wanted && self.resync.catching_up;
        if self.resync.reading || (later && !other) {
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

    pub(super) fn read_one(&mut self, unit: &Unit, asked: Asked<Readings>) {
        let Asked { at, answer } = asked;
        let none = || Err(StoreError::Unavailable("no answer".to_owned()));
        match answer.and_then(|mut readings| readings.pop().unwrap_or_else(none)) {
            Ok(Reading { state, now_ms, epoch, .. }) => {
                self.enter(unit, &epoch);
                let sighting = Sighting { epoch: Some(&epoch), ..Sighting::read(at) };
                self.answered(unit, Observed { state, now_ms }, sighting);
            }
            Err(error) => self.unanswered(unit, &error),
        }
    }

    pub(super) fn read_many(&mut self, units: Vec<Unit>, asked: Asked<Readings>) {
        self.resync.reading = false;
        let Asked { at, answer } = asked;
        let readings = match answer {
            Ok(readings) => readings,
            Err(error) => {
                self.tell_unreachable(&error);
                self.resync.left.push_front(units);
                self.read_later();
                return;
            }
        };
        let away = |read: &Result<_, _>| matches!(read, Err(StoreError::Unavailable(_)));
        let answers = units.is_empty() || !readings.iter().all(away);
        // One that refuses writes is read all the same.
        let refused = self.troubles.iter().any(|error| matches!(error, StoreError::Refused(_)));
        if answers && !refused {
            self.store_is(true);
        }
        let mut read_now = Vec::new();
        for (unit, read) in units.into_iter().zip(readings) {
            match read {
                Ok(reading) => {
                    self.read_one_of_many(&unit, reading, at);
                    read_now.push(unit);
                }
                Err(StoreError::Unavailable(_)) => self.resync.missed.push(unit),
                Err(error) => tracing::error!(
                    credential.id = %unit.id, kind = %unit.kind, %error,
                    "this unit's state in redis is spoilt, and nothing can be refreshed until its key is deleted"
                ),
            }
        }
        if self.resync.catching_up {
            for unit in &read_now {
                self.decide(unit);
            }
        }
        if !self.resync.left.is_empty() || self.resync.wanted {
            return;
        }
        let missed = std::mem::take(&mut self.resync.missed);
        let first_time = !std::mem::replace(&mut self.resync.catching_up, !missed.is_empty());
        if missed.is_empty() {
            self.resync.failures = 0;
        } else {
            // The primary that has them does not answer; the others' units do not wait for it.
            self.resync.left = missed.chunks(READ_AT_ONCE).map(<[Unit]>::to_vec).collect();
            self.read_later();
        }
        if first_time {
            self.decide_all();
        }
    }

    fn read_one_of_many(&mut self, unit: &Unit, reading: Reading, at: Boot) {
        let Reading { state, published, now_ms, epoch } = reading;
        let usable = state.usable(now_ms);
        self.enter(unit, &epoch);
        let sighting = Sighting { epoch: Some(&epoch), ..Sighting::read(at) };
        self.observe(unit, Observed { state, now_ms }, sighting);
        let Some(slot) = self.units.get_mut(unit) else { return };
        let (keeper, around) = slot.keeper_and(&self.world);
        if usable && !published {
            keeper.unpublished(&around);
        }
        slot.publisher.missed(self.world.now, slot.rank);
        self.plan_look(unit);
    }

    /// What is left is read after a while.
    fn read_later(&mut self) {
        let random = self.settings.chance.random();
        let wait = presence::store_backoff(&mut self.resync.failures, random);
        self.resync.retry_at = Some(self.world.now + wait);
    }

    /// Decides for every unit; those that a change of epoch may have hurt come first.
    pub(super) fn decide_all(&mut self) {
        let (mut urgent, mut rest) = (Vec::new(), Vec::new());
        for slot in self.units.iter() {
            let group = if slot.is_urgent() { &mut urgent } else { &mut rest };
            group.push(slot.unit.clone());
        }
        for unit in urgent.iter().chain(&rest) {
            self.decide(unit);
        }
    }
}

//! What all parts of a simulation share: the time, Redis, the upstreams, the network between, and the journal.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use zhongkong_core::credential::Unit;
use zhongkong_core::ports::Notice;
use zhongkong_history::{ClusterEvent, Found, Read, Record, UpstreamEvent};

use crate::cast::{Account, UNITS};
use crate::dice::{Dice, Purpose};
use crate::machine::Trap;
use crate::memory::Memory;
use crate::record;
use crate::run::Protocol;
use crate::time::Time;
use crate::weather::Weather;

/// Notices that may wait for a worker.
const NOTICES: usize = 4_096;
/// A reader that finds what it found before is entered in the journal this often.
const SAME_EVERY_MS: u64 = 30_000;

/// What all share.
pub(crate) struct World {
    pub(crate) time: Time,
    pub(crate) network: Dice,
    /// What is under way, whether or not anybody still waits for it.
    pub(crate) under_way: TaskTracker,
    /// There may be reports to be taken.
    pub(crate) left: Notify,
    state: Mutex<Shared>,
}

/// What changes.
pub(crate) struct Shared {
    pub(crate) redis: Memory,
    /// Redis answers.
    pub(crate) redis_up: bool,
    pub(crate) weather: Weather,
    pub(crate) accounts: Vec<Account>,
    /// The longest that an upstream takes to process a request.
    pub(crate) hold: Duration,
    pub(crate) journal: Vec<Record>,
    pub(crate) calls: u64,
    pub(crate) trap: Option<Trap>,
    /// Workers, by number, that are cut off from Redis; from the upstream.
    pub(crate) cut: BTreeMap<usize, Cut>,
    listeners: BTreeMap<usize, mpsc::Sender<(Instant, Notice)>>,
    /// What readers found last, and when that was entered.
    found: [Option<(Found, u64)>; UNITS],
}

/// From what a worker is cut off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cut {
    pub(crate) redis: bool,
    pub(crate) upstream: bool,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl World {
    pub(crate) fn new(
        seed: u64,
        accounts: Vec<Account>,
        hold: Duration,
        protocol: Protocol,
    ) -> Self {
        let shared = Shared {
            redis: Memory::new(protocol),
            redis_up: true,
            weather: Weather::default(),
            accounts,
            hold,
            journal: Vec::new(),
            calls: 0,
            trap: None,
            cut: BTreeMap::new(),
            listeners: BTreeMap::new(),
            found: [const { None }; UNITS],
        };
        Self {
            time: Time::begin(),
            network: Dice::new(seed, Purpose::Network),
            under_way: TaskTracker::new(),
            left: Notify::new(),
            state: Mutex::new(shared),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, Shared> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something goes on by itself.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.under_way.spawn(task);
    }

    /// Something happens in Redis now, and is told to all who listen.
    pub(crate) fn in_redis<T>(&self, what: impl FnOnce(&mut Memory) -> T) -> T {
        let mut state = self.state();
        let now_us = u64::try_from(self.time.elapsed().as_micros()).unwrap_or(u64::MAX);
        let answer = what(state.redis.begin(now_us));
        let told = state.redis.end();
        for notice in told {
            if let Some(event) = record::cluster(self.time.ms(), &notice) {
                state.journal.push(event);
            }
            self.tell(&mut state, &notice);
        }
        self.look(&mut state);
        answer
    }

    /// The same on behalf of worker `number`, if its command arrives.
    pub(crate) fn in_redis_for<T>(
        &self,
        number: usize,
        what: impl FnOnce(&mut Memory) -> T,
    ) -> Option<T> {
        let arrives = {
            let state = self.state();
            state.redis_up && !state.is_cut(number).redis
        };
        arrives.then(|| self.in_redis(what))
    }

    fn tell(&self, state: &mut Shared, notice: &Notice) {
        let Shared { listeners, cut, redis_up, .. } = state;
        listeners.retain(|number, listener| {
            let hears = *redis_up && !cut.get(number).is_some_and(|cut| cut.redis);
            let after =
                if self.network.happens(150) { self.network.ms(1..=3) } else { Duration::ZERO };
            // Whoever cannot keep up is cut off, as Redis does with a full buffer.
            !hears || listener.try_send((Instant::now() + after, notice.clone())).is_ok()
        });
    }

    /// Worker `number` listens from now on; the channel ends when its connection does.
    pub(crate) fn listen(&self, number: usize) -> Option<mpsc::Receiver<(Instant, Notice)>> {
        let mut state = self.state();
        if !state.redis_up || state.is_cut(number).redis {
            return None;
        }
        let (sender, notices) = mpsc::channel(NOTICES);
        state.listeners.insert(number, sender);
        Some(notices)
    }

    /// The connections on which workers listen break; all if none is named.
    pub(crate) fn hang_up(&self, number: Option<usize>) {
        let listeners = &mut self.state().listeners;
        match number {
            Some(number) => drop(listeners.remove(&number)),
            None => listeners.clear(),
        }
    }

    /// Readers look at each unit: what they find is entered if it is news, and now and then if it is not.
    pub(crate) fn look(&self, state: &mut Shared) {
        let at_ms = self.time.ms();
        for index in 0..UNITS {
            let account = &state.accounts[index];
            let found = if state.redis_up {
                state.redis.found(&account.unit).map_or(Found::Absent, |value| {
                    let known = account.platform.token(value);
                    let fingerprint = known.map_or("unknown", |token| &token.fingerprint);
                    Found::Token(fingerprint.to_owned())
                })
            } else {
                Found::NoAnswer
            };
            let same = state.found[index].as_ref().is_some_and(|(before, since_ms)| {
                *before == found && at_ms < since_ms + SAME_EVERY_MS
            });
            if !same {
                let read = Read { asked_at_ms: at_ms, answered_at_ms: at_ms, found: found.clone() };
                let unit = account.unit.id.to_string();
                state.journal.push(Record::read(unit, read));
                state.found[index] = Some((found, at_ms));
            }
        }
    }

    /// A reader that asks again, whether or not anything changed.
    pub(crate) fn look_anew(&self) {
        self.state().found = [const { None }; UNITS];
        self.in_redis(|_| ());
    }

    /// Enters what is done to all.
    pub(crate) fn note(&self, what: impl Into<String>) {
        let event = ClusterEvent::Fault { what: what.into() };
        let at_ms = self.time.ms();
        self.state().journal.push(Record::everywhere(at_ms, event));
    }
}

impl Shared {
    pub(crate) fn is_cut(&self, number: usize) -> Cut {
        self.cut.get(&number).copied().unwrap_or_default()
    }

    /// Enters what the upstream of a unit did.
    pub(crate) fn enter(&mut self, at_ms: u64, unit: &Unit, event: UpstreamEvent) {
        self.journal.push(Record::upstream(at_ms, unit.id.to_string(), event));
    }
}

/// The address from which worker `number` calls upstreams.
pub(crate) fn address(number: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, u8::try_from(number).unwrap_or(u8::MAX)).into()
}

/// Sleeps, unless there is nothing to sleep for.
pub(crate) async fn pass(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// Shared by all.
pub(crate) type TheWorld = Arc<World>;

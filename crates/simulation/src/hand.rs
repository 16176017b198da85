//! The hand that does the faults.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use zhongkong_coordinator::Handle;
use zhongkong_core::publication::Value;
use zhongkong_core::token::Fingerprint;
use zhongkong_history::{ClusterEvent, Life, UpstreamEvent};
use zhongkong_simulator::AccountChange;

use crate::cast::secret_text;
use crate::fault::{Fault, Loss};
use crate::machine::Mishap;
use crate::memory::{Data, Memory};
use crate::stage::Stage;
use crate::world::{Cut, address, pass};

impl Stage {
    /// Does `fault`, from its begin to its end.
    pub(crate) async fn play(self: Arc<Self>, fault: Fault) {
        let world = &self.world;
        world.note(fault.to_string());
        match fault {
            Fault::Mishap { machine, then } => match then {
                Mishap::Pause(time) => self.seat(machine).machine.pause(world, time),
                Mishap::Kill => self.seat(machine).machine.kill(),
            },
            Fault::Trap(trap) => world.state().trap = Some(trap),
            Fault::CutFromRedis { machine, time } => {
                self.cut(machine, |cut| cut.redis = true);
                pass(time).await;
                self.cut(machine, |cut| cut.redis = false);
                world.hang_up(Some(machine));
            }
            Fault::CutFromUpstream { machine, time } => {
                self.cut(machine, |cut| cut.upstream = true);
                pass(time).await;
                self.cut(machine, |cut| cut.upstream = false);
            }
            Fault::RedisStorm { time } => {
                world.state().weather.redis = true;
                pass(time).await;
                world.state().weather.redis = false;
            }
            Fault::UpstreamStorm { time } => {
                world.state().weather.upstream = true;
                pass(time).await;
                world.state().weather.upstream = false;
            }
            Fault::RedisDown { time, loses } => {
                let kept = self.losing(loses).await;
                world.state().redis_up = false;
                world.hang_up(None);
                world.look_anew();
                pass(time).await;
                world.state().redis_up = true;
                // It may have been back before, and ended once more.
                world.hang_up(None);
                self.another_epoch(kept);
            }
            Fault::Failover { loses, proxy } => {
                let kept = self.losing(loses).await;
                if !proxy {
                    world.hang_up(None);
                }
                self.another_epoch(kept);
            }
            // Nobody writes to a Redis that is away.
            Fault::Spoilt { .. } if !world.state().redis_up => {}
            Fault::Spoilt { unit, overwritten } => {
                let (unit, sdk_keys) = {
                    let account = &world.state().accounts[unit];
                    (account.unit.clone(), account.layout.keys.clone())
                };
                let value = overwritten.then_some("written-by-hand");
                world.in_redis(|memory| memory.spoil_reader(&unit, value));
                for key in sdk_keys {
                    let value = value.map(|text| Value::Text(text.as_bytes().to_vec()));
                    world.in_redis(|memory| memory.spoil_sdk(&key.name, value));
                }
            }
            Fault::Herd { unit, reports } => self.herd(unit, reports),
            Fault::Forced { unit } => self.force(unit),
            Fault::OffList { machine, time } => {
                let others = (1..=self.seats.len()).filter(|number| *number != machine);
                self.whitelist(Some(&others.collect::<Vec<_>>()));
                pass(time).await;
                self.whitelist(None);
            }
            Fault::NewSecret { unit, within } => self.new_secret(unit, within).await,
            Fault::Changed { machine } => {
                let seat = self.seat(machine);
                seat.changed.fetch_not(Ordering::Relaxed);
                seat.stop.notify_one();
            }
            Fault::Foreign { unit, written } => self.foreign(unit, written).await,
            Fault::Flushed => {
                world.in_redis(Memory::flush);
                self.enter(ClusterEvent::EpochChanged);
            }
            Fault::Stepped { by_ms } => {
                world.in_redis(|memory| memory.step(by_ms));
                // What has expired by the new clock is gone.
                world.in_redis(|_| ());
            }
        }
    }

    /// Waits until no machine is paused.
    pub(crate) async fn all_go_on(&self) {
        for seat in &self.seats {
            seat.machine.gate.pass().await;
        }
    }

    /// Nothing waits for a refresh any more to go wrong.
    pub(crate) fn clear_the_trap(&self) {
        self.world.state().trap = None;
    }

    fn cut(&self, machine: usize, change: impl FnOnce(&mut Cut)) {
        change(self.world.state().cut.entry(machine).or_default());
    }

    /// What is left of the data when Redis ends: that of a while ago if the last writes are lost.
    async fn losing(&self, loses: Loss) -> Option<Data> {
        match loses {
            Loss::Nothing => None,
            Loss::Everything => Some(Data::default()),
            Loss::Last(ms) => {
                let data = self.world.state().redis.snapshot();
                pass(Duration::from_millis(ms)).await;
                Some(data)
            }
        }
    }

    fn another_epoch(&self, kept: Option<Data>) {
        self.world.in_redis(|memory| memory.restart(kept));
        self.enter(ClusterEvent::EpochChanged);
        self.world.look_anew();
    }

    fn whitelist(&self, numbers: Option<&[usize]>) {
        let mut state = self.world.state();
        for account in &mut state.accounts {
            let change = AccountChange {
                any_address: numbers.is_none(),
                whitelist: numbers.map(|all| all.iter().map(|number| address(*number)).collect()),
                ..AccountChange::default()
            };
            let app_id = account.app_id().to_owned();
            // The account is there from the begin.
            account.platform.change(&app_id, change).ok();
        }
    }

    async fn new_secret(&self, unit: usize, within: Duration) {
        let numbers = 1..=self.seats.len();
        let secret = {
            let mut state = self.world.state();
            let account = &mut state.accounts[unit];
            for number in numbers.clone() {
                account.files.insert(number, account.file(number));
            }
            account.secret += 1;
            let change = AccountChange {
                secret: Some(secret_text(account.secret)),
                ..AccountChange::default()
            };
            let app_id = account.app_id().to_owned();
            account.platform.change(&app_id, change).ok();
            account.secret
        };
        let each = within / u32::try_from(self.seats.len()).unwrap_or(1);
        for number in numbers {
            pass(each).await;
            let mut state = self.world.state();
            // A newer one may have been rolled out meanwhile.
            let file = state.accounts[unit].files.entry(number).or_default();
            *file = secret.max(*file);
        }
    }

    /// Somebody else's request is received, processed and answered in one. If it is a service, it writes what it got.
    async fn foreign(&self, unit: usize, written: Option<Duration>) {
        self.fetch_outside(unit);
        let Some(after) = written else { return };
        let entries = self.world.state().accounts[unit].written_by_a_service();
        pass(after).await;
        // Nobody writes to a Redis that is away.
        if self.world.state().redis_up {
            for entry in entries {
                self.world.in_redis(|memory| memory.spoil_sdk(&entry.key, Some(entry.value)));
            }
        }
    }

    fn fetch_outside(&self, unit: usize) {
        let (at_ms, unix_ms) = (self.world.time.ms(), self.world.time.unix_ms());
        let mut state = self.world.state();
        let account = &mut state.accounts[unit];
        let (app_id, pool) = (account.app_id().to_owned(), account.pool);
        account.platform.foreign(&app_id, pool, unix_ms).ok();
        let newest = account.platform.newest(&app_id).map(|token| token.fingerprint.clone());
        let life = Life {
            fingerprint: newest.unwrap_or_default(),
            dies_at_ms: u64::MAX,
            why: String::new(),
        };
        let unit = account.unit.clone();
        state.enter(at_ms, &unit, UpstreamEvent::Foreign { life });
        self.world.look(&mut state);
    }

    /// Readers report what they find: half of them to workers, half in the stream.
    fn herd(self: &Arc<Self>, unit: usize, reports: usize) {
        let (unit, found) = {
            let state = self.world.state();
            let unit = state.accounts[unit].unit.clone();
            let found = state.redis.found(&unit).map(Fingerprint::of);
            (unit, found)
        };
        let Some(fingerprint) = found else { return };
        for report in 0..reports {
            let (unit, fingerprint) = (unit.clone(), fingerprint.clone());
            if report.is_multiple_of(2) {
                self.world.in_redis(|memory| memory.leave_report(unit, fingerprint));
            } else if let Some(handle) = self.handle(report) {
                self.world.spawn(async move {
                    // Whatever it comes to: this reader does as it is told.
                    handle.report(unit, fingerprint, Duration::from_secs(10)).await.ok();
                });
            }
        }
        self.world.left.notify_waiters();
    }

    fn force(self: &Arc<Self>, unit: usize) {
        let unit = self.world.state().accounts[unit].unit.clone();
        let turn = self.world.network.index(self.seats.len());
        if let Some(handle) = self.handle(turn) {
            self.world.spawn(async move {
                handle
                    .refresh(unit, Some("operator".to_owned()), Duration::from_secs(10))
                    .await
                    .ok();
            });
        }
    }

    /// A worker that runs, the `turn`th of all.
    fn handle(&self, turn: usize) -> Option<Handle> {
        let seat = &self.seats[turn % self.seats.len()];
        seat.handle.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

//! The stage: workers that run on their machines, and are started again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use zhongkong_coordinator::failpoints::Failpoints;
use zhongkong_coordinator::{Coordinator, CoordinatorSettings, CredentialSettings, Handle};
use zhongkong_core::clock::Clock;
use zhongkong_core::credential::{Worker, WorkerName};
use zhongkong_history::{ClusterEvent, Record};

use crate::cast::UNITS;
use crate::dice::{Dice, Purpose};
use crate::line::Line;
use crate::machine::Machine;
use crate::plan::{PROBE_EVERY, Plan};
use crate::time::WorkerClock;
use crate::way::Way;
use crate::world::{TheWorld, pass};

/// Clocks run at rates that differ by this much at the most, in millionths: far more than quartz does.
const DRIFT: u64 = 1_000;

/// Everything that plays.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) world: TheWorld,
    seed: u64,
    plan: Plan,
    pub(crate) seats: Vec<Arc<Seat>>,
    starts: AtomicU64,
    /// The play is over: nobody is started any more.
    over: AtomicBool,
}

/// A machine, and what is known of the worker on it.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) machine: Arc<Machine>,
    clock: WorkerClock,
    pub(crate) handle: Mutex<Option<Handle>>,
    pub(crate) stop: Notify,
    /// It goes by the other times.
    pub(crate) changed: AtomicBool,
}

impl Stage {
    pub(crate) fn new(world: TheWorld, seed: u64, plan: Plan) -> Arc<Self> {
        let dice = Dice::new(seed, Purpose::Worker(0));
        let seats = (1..=plan.machines).map(|number| {
            let drift = i64::try_from(dice.of(0..=2 * DRIFT)).unwrap_or(0) - DRIFT.cast_signed();
            let booted_before = dice.ms(0..=100_000_000);
            let clock = WorkerClock { time: world.time, booted_before, drift };
            let machine = Arc::new(Machine::new(number));
            let (handle, stop, changed) = (Mutex::new(None), Notify::new(), AtomicBool::new(false));
            Arc::new(Seat { machine, clock, handle, stop, changed })
        });
        let seats = seats.collect();
        let (starts, over) = (AtomicU64::new(1), AtomicBool::new(false));
        Arc::new(Self { world, seed, plan, seats, starts, over })
    }

    /// Starts all workers; each is started again whenever it ended.
    pub(crate) fn begin(self: &Arc<Self>) {
        for seat in &self.seats {
            let (stage, seat) = (Arc::clone(self), Arc::clone(seat));
            self.world.spawn(async move { stage.supervise(&seat).await });
        }
    }

    /// Ends all workers.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        for seat in &self.seats {
            seat.machine.gate.set_open(true);
            seat.machine.kill();
        }
    }

    async fn supervise(&self, seat: &Arc<Seat>) {
        while !self.over.load(Ordering::Relaxed) {
            let start = self.starts.fetch_add(1, Ordering::Relaxed);
            let dice = Arc::new(Dice::new(self.seed, Purpose::Worker(start)));
            pass(dice.ms(1..=2_000)).await;
            let worker = seat.machine.name();
            let Ok(name) = WorkerName::try_from(worker.clone()) else { return };
            // No two starts have the same number.
            let boot = u32::try_from(start).unwrap_or(u32::MAX);
            let (coordinator, handle) = self.coordinator(seat, Worker::new(name, boot), dice);
            *seat.handle.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
            self.enter(ClusterEvent::WorkerStarted { worker: worker.clone() });
            let mut process = tokio::task::JoinSet::new();
            let stopped = Arc::clone(seat);
            let stop = async move { stopped.stop.notified().await };
            seat.machine.runs(process.spawn(coordinator.run(stop)));
            process.join_next().await;
            *seat.handle.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.world.hang_up(Some(seat.machine.number));
            self.enter(ClusterEvent::WorkerEnded { worker });
            pass(self.world.network.ms(500..=15_000)).await;
        }
    }

    fn coordinator(
        &self,
        seat: &Arc<Seat>,
        worker: Worker,
        chance: Arc<Dice>,
    ) -> (Coordinator, Handle) {
        let Seat { machine, clock, changed, .. } = &**seat;
        let profile = &self.plan.profile;
        let timing = if changed.load(Ordering::Relaxed) { profile.changed } else { profile.timing };
        let credentials: Vec<CredentialSettings> = (0..UNITS)
            .map(|index| {
                let (id, nature, secret, publish) = {
                    let state = self.world.state();
                    let account = &state.accounts[index];
                    let publish = vec![(account.unit.kind, account.layout.clone())];
                    (account.unit.id.clone(), account.nature, account.file(machine.number), publish)
                };
                let (world, machine) = (Arc::clone(&self.world), Arc::clone(machine));
                let secret = Mutex::new(secret);
                let upstream = Arc::new(Way { world, machine, clock: *clock, index, secret });
                let (provider, host) = ("simulation", format!("upstream-{index}"));
                let (app_id, tickets) = (id.to_string(), None);
                CredentialSettings {
                    id,
                    app_id,
                    provider,
                    host,
                    nature,
                    timing,
                    upstream,
                    tickets,
                    publish,
                }
            })
            .collect();
        let (world, at) = (Arc::clone(&self.world), Arc::clone(machine));
        let failpoints = Failpoints::new(move |point| {
            let (world, machine) = (Arc::clone(&world), Arc::clone(&at));
            Box::pin(async move { machine.reach(&world, point).await })
        });
        let settings = CoordinatorSettings {
            worker,
            max_concurrent: 16,
            probe_interval: Some(PROBE_EVERY),
            report_budget: 1_000,
            spacing: timing.times().spacing,
            reconcile_rate: 50,
            human_poll: Duration::from_secs(5),
            name_credentials: false,
            chance,
            failpoints,
        };
        let line = Line { world: Arc::clone(&self.world), machine: Arc::clone(machine) };
        let clock: Arc<dyn Clock> = Arc::new(*clock);
        Coordinator::new(settings, &credentials, Arc::new(line), clock)
    }

    pub(crate) fn enter(&self, event: ClusterEvent) {
        let at_ms = self.world.time.ms();
        self.world.state().journal.push(Record::everywhere(at_ms, event));
    }

    pub(crate) fn seat(&self, machine: usize) -> &Arc<Seat> {
        &self.seats[machine - 1]
    }
}

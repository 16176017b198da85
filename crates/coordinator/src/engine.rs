//! The loop: hear, decide, do.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use zhongkong_core::clock::{Boot, Clock};
use zhongkong_core::credential::{CredentialId, Unit};
use zhongkong_core::keep::KeepAnswer;
use zhongkong_core::keeper::{Action, Source};
use zhongkong_core::outlook::Outlook;
use zhongkong_core::policy::{Random, backoff};
use zhongkong_core::ports::{Notice, Observed, Reading, Store, StoreError};
use zhongkong_core::refusal::{Refusal, Scope};
use zhongkong_core::state::State;

use crate::handle::{
    CommandError, Handle, Health, ORDERS, Order, RefreshAnswer, UnitView, Waiting,
};
use crate::pacer::Pacer;
use crate::refresh::{Ended, Ending, Refresh};
use crate::settings::{CoordinatorSettings, CredentialSettings};
use crate::telemetry::Telemetry;
use crate::units::{Slot, Units, Waiter, World};

/// Notices that may wait; past that everything is read again.
const NOTICES: usize = 16_384;
/// How often a worker says that it lives.
const BEAT_EVERY: Duration = Duration::from_secs(2);
/// How often a secret that was refused is looked at again.
const REREAD_EVERY: Duration = Duration::from_secs(5);
/// Units read in one pipeline: enough to be quick, few enough not to hold Redis up.
const READ_AT_ONCE: usize = 500;
/// Reads and keeps under way at once.
const CHORES: usize = 128;
/// The boot clock goes on while the machine sleeps and timers do not: they are looked at again at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Given to tasks at the end, beyond the longest request time-out.
const STOP_GRACE: Duration = Duration::from_secs(1);
const STORE_RETRY_BASE: Duration = Duration::from_millis(200);
const STORE_RETRY_CAP: Duration = Duration::from_secs(5);

/// Keeps the tokens of all its credentials fresh, together with its peers.
#[derive(Debug)]
pub struct Coordinator {
    settings: Arc<CoordinatorSettings>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    orders: mpsc::Receiver<Order>,
    health: watch::Sender<Health>,
    units: Units,
    world: World,
    pacer: Pacer,
    tasks: JoinSet<Done>,
    refreshes: Lane,
    chores: Lane,
    resync: Resync,
    /// Failures of the store in a row, for backoff.
    store_failures: u32,
    beating: bool,
    /// The log says that Redis does not answer.
    told_unreachable: bool,
}

/// What takes time, for one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Refresh,
    Read,
    Keep,
}

/// Tasks of which only so many run at once; the others wait their turn.
#[derive(Debug)]
struct Lane {
    running: usize,
    limit: usize,
    waiting: VecDeque<(Unit, Task)>,
}

/// What wakes the loop.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one, and it lives for one turn of the loop"
)]
enum Input {
    Stop,
    Notice(Notice),
    Done(Result<Done, tokio::task::JoinError>),
    Order(Order),
    Beat,
    Reread,
    Timer,
}

/// What a task brought.
#[derive(Debug)]
enum Done {
    Refreshed(Box<Ended>),
    Kept(Unit, Result<(KeepAnswer, Observed), StoreError>),
    Read(Unit, Result<Reading, StoreError>),
    ReadMany(Vec<Unit>, Result<Reading, StoreError>),
    Beaten(Result<Vec<String>, StoreError>),
    Forced(Unit, Result<Observed, StoreError>, oneshot::Sender<Result<Waiting, CommandError>>),
    Reread(Unit, String),
}

/// Reading everything again: after a reconnect, whatever happened before was missed.
#[derive(Debug, Default)]
struct Resync {
    left: VecDeque<Vec<Unit>>,
    reading: bool,
    wanted: bool,
    retry_at: Option<Boot>,
}

impl Lane {
    const fn new(limit: usize) -> Self {
        Self { running: 0, limit, waiting: VecDeque::new() }
    }

    /// The next that may run now.
    fn pop(&mut self) -> Option<(Unit, Task)> {
        if self.running < self.limit { self.waiting.pop_front() } else { None }
    }
}

impl Coordinator {
    /// A coordinator for `credentials`; nothing happens until it runs.
    pub fn new(
        settings: CoordinatorSettings,
        credentials: &[CredentialSettings],
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> (Self, Handle) {
        let (order_sender, orders) = mpsc::channel(ORDERS);
        let (health, health_receiver) = watch::channel(Health::default());
        let identity = settings.worker.identity.clone();
        let world = World {
            now: clock.now(),
            living: vec![identity.clone()],
            identity,
            epoch: String::new(),
        };
        let mut units = Units::default();
        units.reload(credentials, &world);
        let refreshes = Lane::new(settings.max_concurrent);
        let coordinator = Self {
            telemetry: Telemetry { name_credentials: settings.name_credentials },
            pacer: Pacer::new(settings.reconcile_rate),
            settings: Arc::new(settings),
            store,
            clock,
            orders,
            health,
            units,
            world,
            tasks: JoinSet::new(),
            refreshes,
            chores: Lane::new(CHORES),
            resync: Resync { wanted: true, ..Resync::default() },
            store_failures: 0,
            beating: false,
            told_unreachable: false,
        };
        (coordinator, Handle { orders: order_sender, health: health_receiver })
    }

    /// Runs until `stop` is ready; then finishes or abandons what is under way, and says goodbye to the store.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let (notices, mut heard) = mpsc::channel(NOTICES);
        let missed = Arc::new(AtomicBool::new(false));
        let mut listening = JoinSet::new();
        listening.spawn(listen(Arc::clone(&self.store), notices, Arc::clone(&missed)));
        let mut beat = tokio::time::interval(BEAT_EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut reread = tokio::time::interval(REREAD_EVERY);
        tokio::pin!(stop);
        loop {
            let nap = self.nap();
            let input = tokio::select! {
                biased;
                () = &mut stop => Input::Stop,
                Some(notice) = heard.recv() => Input::Notice(notice),
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => Input::Done(done),
                Some(order) = self.orders.recv() => Input::Order(order),
                _ = beat.tick() => Input::Beat,
                _ = reread.tick() => Input::Reread,
                () = tokio::time::sleep(nap) => Input::Timer,
            };
            self.world.now = self.clock.now();
            match input {
                Input::Stop => break,
                Input::Notice(notice) => self.hear(notice),
                Input::Done(done) => self.finish(done),
                Input::Order(order) => self.obey(order),
                Input::Beat => self.beat(),
                Input::Reread => self.reread_refused_secrets(),
                Input::Timer => {}
            }
            if missed.swap(false, Ordering::AcqRel) {
                self.resync.wanted = true;
            }
            self.go_on();
        }
        listening.shutdown().await;
        self.stop().await;
    }

    fn nap(&self) -> Duration {
        let next = [self.units.next_wake(), self.resync.retry_at].into_iter().flatten().min();
        next.map_or(LONGEST_SLEEP, |at| at.since(self.clock.now()).min(LONGEST_SLEEP))
    }

    /// Whatever can be started is started.
    fn go_on(&mut self) {
        self.go_on_reading();
        while let Some(unit) = self.units.pop_due(self.world.now) {
            self.decide(&unit);
        }
        while let Some((unit, task)) = self.refreshes.pop().or_else(|| self.chores.pop()) {
            self.start(unit, task);
        }
    }

    /// Asks the unit's keeper what to do next, and does it.
    fn decide(&mut self, unit: &Unit) {
        for _ in 0..2 {
            let Self { units, world, pacer, .. } = self;
            let Some(slot) = units.get_mut(unit) else { return };
            let (first, host) = (slot.rank == 0, slot.credential.host.clone());
            let (keeper, around) = slot.keeper_and(world);
            let task = match keeper.next(&around) {
                Action::Rest(at) => {
                    units.wake(unit, at);
                    return;
                }
                Action::Queue => {
                    // Only the unit's first worker takes turns; the others look whether it did its share.
                    let turn = if first { pacer.turn(&host, world.now) } else { world.now };
                    keeper.take_turn(turn);
                    continue;
                }
                Action::Refresh { .. } => Task::Refresh,
                Action::Read => Task::Read,
                Action::Keep => Task::Keep,
            };
            units.wake(unit, None);
            self.start(unit.clone(), task);
            return;
        }
    }

    /// Starts `task`, or lets it wait its turn.
    fn start(&mut self, unit: Unit, task: Task) {
        let lane = match task {
            Task::Refresh => &mut self.refreshes,
            Task::Read | Task::Keep => &mut self.chores,
        };
        if lane.running >= lane.limit {
            lane.waiting.push_back((unit, task));
            return;
        }
        let Some(slot) = self.units.get_mut(&unit) else { return };
        lane.running += 1;
        let store = Arc::clone(&self.store);
        let alive = slot.keeper.alive(self.world.now);
        match task {
            Task::Refresh => {
                let refresh = Refresh {
                    unit,
                    credential: Arc::clone(&slot.credential),
                    rules: slot.rules,
                    viewer: slot.keeper.viewer(&slot.around(&self.world)),
                    alive,
                    settings: Arc::clone(&self.settings),
                    store,
                    clock: Arc::clone(&self.clock),
                };
                self.tasks.spawn(async move { Done::Refreshed(Box::new(refresh.run().await)) });
            }
            Task::Read => {
                self.tasks.spawn(async move {
                    let reading = store.read(std::slice::from_ref(&unit)).await;
                    Done::Read(unit, reading)
                });
            }
            Task::Keep => {
                self.tasks.spawn(async move {
                    let kept = store.keep(&unit, alive).await;
                    Done::Kept(unit, kept)
                });
            }
        }
    }

    /// A state of `unit` was seen.
    fn observe(&mut self, unit: &Unit, observed: Observed, source: Source) {
        let Self { units, world, telemetry, .. } = self;
        let Some(slot) = units.get_mut(unit) else { return };
        slot.keeper.observe(observed, source, world.now, &world.epoch);
        if let Some((state, now_ms)) = slot.keeper.view(world.now) {
            telemetry.seen(unit, state);
            for waiter in std::mem::take(&mut slot.waiters) {
                match waiter.outcome(state, now_ms) {
                    // Whoever no longer waits needs no answer.
                    Some(answer) => drop(waiter.answer.send(answer)),
                    None => slot.waiters.push(waiter),
                }
            }
        }
    }

    fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::Listening | Notice::Flushed => self.resync.wanted = true,
            Notice::Deaf => {
                let error = StoreError::Unavailable("the connection broke off".to_owned());
                self.tell_unreachable(&error);
            }
            Notice::Event { unit, what, observed } => {
                let now = self.world.now;
                let Some(slot) = self.units.get_mut(&unit) else { return };
                slot.keeper
                    .explain(matches!(what.as_str(), "refreshed" | "unchanged" | "kept"), now);
                self.observe(&unit, *observed, Source::Told);
                self.decide(&unit);
            }
            Notice::Touched { unit, key } => {
                let Some(slot) = self.units.get_mut(&unit) else { return };
                let (keeper, around) = slot.keeper_and(&self.world);
                keeper.touched(key, &around);
                self.decide(&unit);
            }
        }
    }

    fn finish(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done {
            Ok(Done::Refreshed(ended)) => self.refreshed(*ended),
            Ok(Done::Kept(unit, kept)) => {
                self.chores.running -= 1;
                match kept {
                    Ok((answer, observed)) => {
                        tell_kept(&unit, answer);
                        self.answered(&unit, observed, Source::Read);
                    }
                    Err(error) => self.unanswered(&unit, &error),
                }
            }
            Ok(Done::Read(unit, reading)) => {
                self.chores.running -= 1;
                match reading {
                    Ok(reading) => {
                        self.enter(&reading.epoch);
                        for (state, _) in reading.units {
                            let observed = Observed { state, now_ms: reading.now_ms };
                            self.answered(&unit, observed, Source::Read);
                        }
                    }
                    Err(error) => self.unanswered(&unit, &error),
                }
            }
            Ok(Done::ReadMany(units, reading)) => self.read_many(units, reading),
            Ok(Done::Beaten(beaten)) => self.beaten(beaten),
            Ok(Done::Forced(unit, forced, answer)) => self.forced(&unit, forced, answer),
            Ok(Done::Reread(unit, configuration)) => self.reconfigured(&unit, configuration),
            Err(error) => {
                // A task that panicked would leave its unit busy for ever: better a new process than a dead keeper.
                if error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        }
    }

    fn refreshed(&mut self, ended: Ended) {
        self.refreshes.running -= 1;
        self.telemetry.ended(&ended, self.settings.worker.name.as_str());
        let Ended { unit, observed, epoch, own, configuration, result, .. } = ended;
        if let Some(epoch) = epoch {
            self.enter(&epoch);
        }
        if let Some(slot) = self.units.get_mut(&unit) {
            slot.configuration = configuration;
            if let Some(own) = own {
                slot.keeper.claimed(own);
            }
            if let Ending::Committed { clamped: true, .. } = result {
                slot.warn_clamped();
            }
        }
        match (result, observed) {
            (Ending::Store { error, .. }, _) => self.unanswered(&unit, &error),
            (_, Some(observed)) => self.answered(&unit, observed, Source::Told),
            (_, None) => {
                if let Some(slot) = self.units.get_mut(&unit) {
                    slot.keeper.done();
                }
                self.decide(&unit);
            }
        }
    }

    /// A task of `unit` ended with a state.
    fn answered(&mut self, unit: &Unit, observed: Observed, source: Source) {
        self.store_failures = 0;
        if let Some(slot) = self.units.get_mut(unit) {
            slot.keeper.done();
        }
        self.observe(unit, observed, source);
        self.decide(unit);
    }

    /// A task of `unit` ended without an answer of the store.
    fn unanswered(&mut self, unit: &Unit, error: &StoreError) {
        tracing::debug!(credential.id = %unit.id, kind = %unit.kind, %error, "redis did not answer");
        let not_before = self.world.now + self.store_backoff();
        if let Some(slot) = self.units.get_mut(unit) {
            slot.keeper.failed(not_before);
        }
        self.decide(unit);
    }

    fn store_backoff(&mut self) -> Duration {
        let failures = self.store_failures;
        self.store_failures = failures.saturating_add(1);
        backoff(STORE_RETRY_BASE, STORE_RETRY_CAP, failures, Random::new(rand::random()))
    }

    /// The store's epoch, as just heard.
    fn enter(&mut self, epoch: &str) {
        if self.world.epoch == epoch {
            return;
        }
        if !self.world.epoch.is_empty() {
            tracing::warn!(
                epoch,
                "redis was restarted, replaced or failed over: every token is checked with one fetch, at a gentle pace"
            );
        }
        epoch.clone_into(&mut self.world.epoch);
        self.resync.wanted = true;
    }

    fn go_on_reading(&mut self) {
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
        let store = Arc::clone(&self.store);
        self.tasks.spawn(async move {
            let reading = store.read(&units).await;
            Done::ReadMany(units, reading)
        });
    }

    fn read_many(&mut self, units: Vec<Unit>, reading: Result<Reading, StoreError>) {
        self.resync.reading = false;
        let reading = match reading {
            Ok(reading) => reading,
            Err(error) => {
                self.tell_unreachable(&error);
                self.resync.retry_at = Some(self.world.now + self.store_backoff());
                self.resync.left.push_front(units);
                return;
            }
        };
        self.store_failures = 0;
        // What was read before in this round stays true: another epoch only makes more of it owed.
        if self.world.epoch != reading.epoch {
            let again = self.resync.wanted;
            self.enter(&reading.epoch);
            self.resync.wanted = again;
        }
        self.store_is(true);
        for (unit, (state, published)) in units.iter().zip(reading.units) {
            let usable = state.usable(reading.now_ms);
            self.observe(unit, Observed { state, now_ms: reading.now_ms }, Source::Read);
            let Some(slot) = self.units.get_mut(unit) else { continue };
            let (keeper, around) = slot.keeper_and(&self.world);
            if usable && !published {
                keeper.unpublished(&around);
            }
        }
        if self.resync.left.is_empty() && !self.resync.wanted {
            self.health.send_modify(|health| health.informed = true);
            self.decide_all();
        }
    }

    /// Decides for every unit; those that a change of epoch may have hurt come first.
    fn decide_all(&mut self) {
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

    fn beat(&mut self) {
        if self.beating {
            return;
        }
        self.beating = true;
        let (store, worker) = (Arc::clone(&self.store), self.settings.worker.clone());
        self.tasks.spawn(async move { Done::Beaten(store.beat(&worker).await) });
    }

    fn beaten(&mut self, beaten: Result<Vec<String>, StoreError>) {
        self.beating = false;
        match beaten {
            Ok(living) => {
                self.store_is(true);
                metrics::gauge!("zhongkong_workers").set(living.len() as f64);
                if living != self.world.living {
                    self.world.living.clone_from(&living);
                    self.health.send_modify(|health| health.workers = living);
                    self.units.reorder(&self.world);
                    self.decide_all();
                }
            }
            Err(error) => self.tell_unreachable(&error),
        }
    }

    fn tell_unreachable(&mut self, error: &StoreError) {
        self.store_is(false);
        if !std::mem::replace(&mut self.told_unreachable, true) {
            tracing::warn!(
                %error,
                "redis does not answer: no refresh without it; readers keep their tokens, and the worker tries again"
            );
        }
    }

    /// Whether Redis answers.
    fn store_is(&mut self, up: bool) {
        metrics::gauge!("zhongkong_store_up").set(f64::from(u8::from(up)));
        if up && std::mem::replace(&mut self.told_unreachable, false) {
            tracing::info!("redis answers again");
        }
        self.health.send_if_modified(|health| std::mem::replace(&mut health.store_up, up) != up);
    }

    /// A secret that was refused may have been replaced meanwhile.
    fn reread_refused_secrets(&mut self) {
        let refused: Vec<_> = self
            .units
            .iter()
            .filter(|slot| {
                slot.keeper.view(self.world.now).is_some_and(|(state, _)| {
                    let mine = |r: &Refusal| {
                        r.scope == Scope::Configuration && r.key == slot.configuration
                    };
                    state.refusals.iter().any(mine)
                })
            })
            .map(|slot| (slot.unit.clone(), Arc::clone(&slot.credential)))
            .collect();
        for (unit, credential) in refused {
            self.tasks.spawn(async move {
                credential.upstream.reread_secret().await;
                Done::Reread(unit, credential.upstream.configuration())
            });
        }
    }

    fn reconfigured(&mut self, unit: &Unit, configuration: String) {
        let Some(slot) = self.units.get_mut(unit) else { return };
        if slot.configuration != configuration {
            tracing::info!(credential.id = %unit.id, "the secret was replaced; trying it at once");
            slot.configuration = configuration;
            self.decide(unit);
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            // Whoever no longer waits needs no answer.
            Order::Views { id, answer } => drop(answer.send(self.views(id.as_ref()))),
            Order::Reload { credentials } => {
                tracing::info!(
                    credentials = credentials.len(),
                    "keeping these credentials from now on"
                );
                self.units.reload(&credentials, &self.world);
                self.resync.wanted = true;
            }
            Order::Refresh { unit, force, answer } => self.asked(unit, force, answer),
        }
    }

    fn views(&self, id: Option<&CredentialId>) -> Vec<UnitView> {
        let wanted = |slot: &&Slot| id.is_none_or(|id| slot.unit.id == *id);
        self.units
            .iter()
            .filter(wanted)
            .map(|slot| {
                let view = slot.keeper.view(self.world.now);
                UnitView {
                    unit: slot.unit.clone(),
                    provider: slot.credential.provider,
                    state: view.map(|(state, _)| state.clone()),
                    now_ms: view.map_or(0, |(_, now_ms)| now_ms),
                    outlook: slot.keeper.outlook(&slot.around(&self.world)),
                }
            })
            .collect()
    }

    fn asked(
        &mut self,
        unit: Unit,
        force: bool,
        answer: oneshot::Sender<Result<Waiting, CommandError>>,
    ) {
        let Some(slot) = self.units.get_mut(&unit) else {
            drop(answer.send(Err(CommandError::Unknown(unit.id))));
            return;
        };
        if force {
            let (store, rules) = (Arc::clone(&self.store), slot.rules);
            self.tasks.spawn(async move {
                let forced = store.force(&unit, &rules).await;
                Done::Forced(unit, forced, answer)
            });
            return;
        }
        let waiting = self.wait_for(&unit);
        drop(answer.send(waiting));
        self.decide(&unit);
    }

    fn forced(
        &mut self,
        unit: &Unit,
        forced: Result<Observed, StoreError>,
        answer: oneshot::Sender<Result<Waiting, CommandError>>,
    ) {
        match forced {
            Ok(observed) => {
                self.observe(unit, observed, Source::Told);
                drop(answer.send(self.wait_for(unit)));
                self.decide(unit);
            }
            Err(error) => drop(answer.send(Err(CommandError::Store(error.to_string())))),
        }
    }

    /// What somebody who wants `unit` refreshed has to wait for.
    fn wait_for(&mut self, unit: &Unit) -> Result<Waiting, CommandError> {
        let Self { units, world, .. } = self;
        let slot = units.get_mut(unit).ok_or_else(|| CommandError::Unknown(unit.id.clone()))?;
        let (outlook, view) =
            (slot.keeper.outlook(&slot.around(world)), slot.keeper.view(world.now));
        let (Some(outlook), Some((state, now_ms))) = (outlook, view) else {
            return Err(CommandError::Store("the state has not been read yet".to_owned()));
        };
        let after = |at_ms: u64| Duration::from_millis(at_ms.saturating_sub(now_ms));
        let retry_after = match outlook {
            Outlook::NotOwed { .. } => return Ok(Waiting::Now(RefreshAnswer::NotOwed)),
            Outlook::Newer { v } => {
                let text = format!("the state is of version {v}, newer than this worker");
                return Err(CommandError::Store(text));
            }
            Outlook::Held { until_ms } => after(until_ms),
            Outlook::Owed { at_ms, .. } => after(at_ms),
        };
        let barred_ms = state.barred_until_ms(&world.identity, &slot.configuration);
        if barred_ms > now_ms {
            let (state, retry_after) = (Box::new(state.clone()), after(barred_ms));
            return Ok(Waiting::Now(RefreshAnswer::Failed { state, retry_after }));
        }
        let State { token_fence, generation, fence, .. } = *state;
        let (sender, answer) = oneshot::channel();
        slot.wait(Waiter { token_fence, generation, fence, answer: sender });
        Ok(Waiting::Later { answer, unless: RefreshAnswer::Deferred { retry_after } })
    }

    async fn stop(mut self) {
        self.health.send_modify(|health| health.stopping = true);
        let longest = self.units.iter().map(|slot| slot.credential.timing.times().request_timeout);
        let grace = longest.max().unwrap_or_default() + STOP_GRACE;
        let finish = async {
            while self.refreshes.running > 0 {
                let Some(done) = self.tasks.join_next().await else { break };
                if let Ok(Done::Refreshed(ended)) = done {
                    self.refreshes.running -= 1;
                    self.telemetry.ended(&ended, self.settings.worker.name.as_str());
                }
            }
        };
        if tokio::time::timeout(grace, finish).await.is_err() {
            tracing::warn!(
                "a refresh did not end in time; another worker takes it over when its lease ends"
            );
        }
        self.tasks.shutdown().await;
        let leave = self.store.leave(&self.settings.worker);
        // Redis may be gone; then the beat runs out by itself.
        drop(tokio::time::timeout(STOP_GRACE / 2, leave).await);
    }
}

/// Passes on what the store hears; if that is more than can wait, everything is read again.
async fn listen(store: Arc<dyn Store>, notices: mpsc::Sender<Notice>, missed: Arc<AtomicBool>) {
    let hear = move |notice| {
        if notices.try_send(notice).is_err() {
            missed.store(true, Ordering::Release);
        }
    };
    store.listen(&hear).await;
}

fn tell_kept(unit: &Unit, answer: KeepAnswer) {
    match answer {
        KeepAnswer::Republished { ttl_ms } => tracing::warn!(
            credential.id = %unit.id, kind = %unit.kind, ttl_ms,
            "the key that readers read was deleted or overwritten; published again, without an upstream call"
        ),
        KeepAnswer::NoToken { announce: true } => tracing::error!(
            credential.id = %unit.id, kind = %unit.kind,
            "the last token died and there is no next one: readers have none. See the unit's status for the reason"
        ),
        KeepAnswer::NoToken { announce: false } | KeepAnswer::Kept => {}
    }
}

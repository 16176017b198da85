//! The loop: hear, decide, do.
//!
//! - `lane`: what takes time, and how much of it runs at once.
//! - `reading`: every unit read again after something was missed.
//! - `presence`: who lives: this worker, its peers, and Redis.
//! - `outcomes`: what tasks brought.
//! - `secrets`: refused secrets that may have been replaced.
//! - `asking`: what the binary asks for.
//! - `reports`: word that a token was rejected; `probing`: tokens tried in their own time.
//! - `publishing`: the keys of SDKs; `foreign`: what somebody else wrote there.

mod asking;
mod foreign;
mod lane;
mod outcomes;
mod presence;
mod probing;
mod publishing;
mod reading;
mod reports;
mod secrets;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use zhongkong_core::clock::{Boot, Clock};
use zhongkong_core::credential::Unit;
use zhongkong_core::keep::KeepAnswer;
use zhongkong_core::keeper::{Action, Source};
use zhongkong_core::ports::{
    Beat, LeftReport, Notice, Observed, Reading, Store, StoreError, TouchedKey,
};
use zhongkong_core::report::ReportAnswer;
use zhongkong_core::token::Fingerprint;

use self::foreign::LookedInto;
use self::lane::{Lane, Task};
use self::publishing::Publishing;
use self::reading::Resync;
use self::reports::{Reporter, Reports};
use crate::epochs::Epochs;
use crate::handle::{Asking, EVENTS, Handle, Health, ORDERS, Order, UnitEvent};
use crate::pacer::Pacer;
use crate::publish::Shown;
use crate::refresh::{Ended, Refresh};
use crate::settings::{CoordinatorSettings, CredentialSettings};
use crate::telemetry::Telemetry;
use crate::units::{Units, World};

/// Notices that may wait; past that everything is read again.
const NOTICES: usize = 16_384;
/// How often a worker says that it lives.
const BEAT_EVERY: Duration = Duration::from_secs(2);
/// How often a secret that was refused is looked at again.
const REREAD_EVERY: Duration = Duration::from_secs(5);
/// Reads and keeps under way at once.
const CHORES: usize = 128;
/// The boot clock goes on while the machine sleeps and timers do not: they are looked at again at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Given to tasks at the end, beyond the longest request time-out.
const STOP_GRACE: Duration = Duration::from_secs(1);

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
    reports: Reports,
    publishing: Publishing,
    probing: Lane,
    /// Calls of the probe for reports under way at once.
    probes: Arc<Semaphore>,
    events: broadcast::Sender<Arc<UnitEvent>>,
    beating: bool,
    beats: u64,
    /// Why Redis does not do what is asked, as the log says.
    troubles: Vec<StoreError>,
    /// What the log says of Redis that does not answer, while the rest does.
    told_missing: Vec<String>,
    /// No request is sent any more.
    stopping: Arc<AtomicBool>,
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
    Left(LeftReport),
    Beat,
    Reread,
    Timer,
}

/// Units as they were read, in the order that was asked for.
type Readings = Vec<Result<Reading, StoreError>>;

/// What a task brought.
#[derive(Debug)]
enum Done {
    Refreshed(Box<Ended>),
    Kept(Unit, Asked<(KeepAnswer, Observed)>),
    Read(Unit, Asked<Readings>),
    ReadMany(Vec<Unit>, Asked<Readings>),
    Beaten(Result<Beat, StoreError>),
    Forced(Unit, Asked<Observed>, oneshot::Sender<Asking>),
    Probed(Unit, Option<Asked<(ReportAnswer, Observed)>>),
    Reported(Unit, Fingerprint, Asked<(ReportAnswer, Observed)>),
    Adopted(Result<Vec<LeftReport>, StoreError>),
    Finished(String),
    Looked(Unit, Result<Option<Shown>, StoreError>),
    LookedInto(LookedInto),
    Reread(Unit, String),
}

/// The store's answer, and when it was asked: a worker that is paused in between must not take it for news.
#[derive(Debug)]
struct Asked<T> {
    at: Boot,
    answer: Result<T, StoreError>,
}

/// How a state came to be seen: see [`Keeper::observe`](zhongkong_core::keeper::Keeper::observe).
#[derive(Clone, Copy, Debug)]
struct Sighting<'a> {
    source: Source,
    at: Boot,
    epoch: Option<&'a str>,
}

impl<T> Asked<T> {
    async fn the(
        clock: Arc<dyn Clock>,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Self {
        let at = clock.now();
        Self { at, answer: question.await }
    }
}

impl Sighting<'_> {
    /// The answer to a question asked at `at`, which did not tell the epoch.
    const fn read(at: Boot) -> Self {
        Self { source: Source::Read, at, epoch: None }
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
            epochs: Epochs::default(),
        };
        let mut units = Units::default();
        drop(units.reload(credentials, &world));
        let probes = (settings.max_concurrent / 8).max(1);
        let refreshes = Lane::new(settings.max_concurrent.saturating_sub(2 * probes).max(1));
        let (events, _) = broadcast::channel(EVENTS);
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
            reports: Reports::default(),
            publishing: Publishing::default(),
            probing: Lane::new(probes),
            probes: Arc::new(Semaphore::new(probes)),
            events: events.clone(),
            beating: false,
            beats: 0,
            troubles: Vec::new(),
            told_missing: Vec::new(),
            stopping: Arc::new(AtomicBool::new(false)),
        };
        (coordinator, Handle { orders: order_sender, health: health_receiver, events })
    }

    /// Runs until `stop` is ready; then finishes or abandons what is under way, and says goodbye to the store.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        self.telemetry.begin(self.units.iter().map(|slot| &slot.unit));
        self.track();
        let (notices, mut heard) = mpsc::channel(NOTICES);
        let missed = Arc::new(AtomicBool::new(false));
        let mut listening = JoinSet::new();
        listening.spawn(listen(Arc::clone(&self.store), notices, Arc::clone(&missed)));
        let (entries, mut left) = mpsc::channel(reports::LEFT);
        let settings = Arc::clone(&self.settings);
        listening.spawn(reports::take(Arc::clone(&self.store), settings, entries));
        let mut beat = tokio::time::interval(BEAT_EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut reread = tokio::time::interval(REREAD_EVERY);
        reread.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            let nap = self.nap();
            let input = tokio::select! {
                biased;
                () = &mut stop => Input::Stop,
                Some(notice) = heard.recv() => Input::Notice(notice),
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => Input::Done(done),
                Some(order) = self.orders.recv() => Input::Order(order),
                Some(left) = left.recv(), if self.reports.have_room() => Input::Left(left),
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
                Input::Left(left) => self.serve(left),
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
        let next = [self.units.next_wake(), self.resync.retry_at, self.publishing.next_wake()];
        let next = next.into_iter().flatten().min();
        next.map_or(LONGEST_SLEEP, |at| at.since(self.clock.now()).min(LONGEST_SLEEP))
    }

    /// Whatever can be started is started.
    fn go_on(&mut self) {
        self.go_on_reading();
        while let Some(unit) = self.units.pop_due(self.world.now) {
            self.decide(&unit);
        }
        self.go_on_looking();
        let Self { refreshes, chores, probing, .. } = self;
        let mut waiting = Vec::new();
        for lane in [refreshes, chores, probing] {
            waiting.extend(lane.pop_all());
        }
        for (unit, task) in waiting {
            self.start(unit, task);
        }
    }

    /// Asks the unit's keeper what to do next, and does it.
    fn decide(&mut self, unit: &Unit) {
        // A turn to be queued for, and a probe, leave the keeper free for more.
        for _ in 0..3 {
            let Self { units, world, pacer, settings, .. } = self;
            units.look_for_parent(unit, world.now);
            let Some(slot) = units.get_mut(unit) else { return };
            slot.plan_probe(settings, world.now);
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
                Action::Probe => {
                    self.start(unit.clone(), Task::Probe);
                    continue;
                }
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
            Task::Probe => &mut self.probing,
        };
        if lane.running >= lane.limit {
            lane.waiting.push_back((unit, task));
            return;
        }
        let Some(slot) = self.units.get_mut(&unit) else { return };
        lane.running += 1;
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        let life = slot.keeper.life();
        match task {
            Task::Refresh => {
                let refresh = Refresh {
                    unit,
                    credential: Arc::clone(&slot.credential),
                    rules: slot.rules,
                    timing: slot.timing,
                    viewer: slot.keeper.viewer(&slot.around(&self.world)),
                    life,
                    settings: Arc::clone(&self.settings),
                    store,
                    clock,
                    stopping: Arc::clone(&self.stopping),
                };
                self.tasks.spawn(async move { Done::Refreshed(Box::new(refresh.run().await)) });
            }
            Task::Probe => {
                let probing = probing::Probing {
                    unit,
                    credential: Arc::clone(&slot.credential),
                    settings: Arc::clone(&self.settings),
                    store,
                    clock,
                    epoch: slot.epoch.to_string(),
                };
                self.tasks.spawn(probing.run());
            }
            Task::Read => {
                self.tasks.spawn(async move {
                    let reading = store.read(std::slice::from_ref(&unit));
                    let asked = Asked::the(clock, reading).await;
                    Done::Read(unit, asked)
                });
            }
            Task::Keep => {
                let settings = Arc::clone(&self.settings);
                self.tasks.spawn(async move {
                    settings.reach("before_keep").await;
                    let alive = life.map(|life| life.alive(clock.now()));
                    let asked = Asked::the(clock, store.keep(&unit, alive)).await;
                    settings.reach("after_keep").await;
                    Done::Kept(unit, asked)
                });
            }
        }
    }

    /// A state of `unit` was seen.
    fn observe(&mut self, unit: &Unit, observed: Observed, sighting: Sighting<'_>) {
        let Self { units, world, telemetry, .. } = self;
        let Some(slot) = units.get_mut(unit) else { return };
        let Sighting { source, at, epoch } = sighting;
        slot.keeper.observe(observed, source, [at, world.now], epoch);
        slot.warn_newer();
        if let Some((state, now_ms)) = slot.keeper.view(world.now) {
            telemetry.seen(unit, state);
            for waiter in std::mem::take(&mut slot.waiters) {
                let refusal = state.refused_to_all(now_ms, &slot.configuration, &world.living);
                match waiter.outcome(state, now_ms, refusal) {
                    // Whoever no longer waits needs no answer.
                    Some(answer) => drop(waiter.answer.send(answer)),
                    None => slot.waiters.push(waiter),
                }
            }
            slot.publisher.observe(state, world.now, slot.rank);
        }
        units.tell_tickets(unit, world);
        self.plan_look(unit);
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
                if self.events.receiver_count() > 0 {
                    let Observed { state, now_ms } = (*observed).clone();
                    let event = UnitEvent { what: what.clone(), unit: unit.clone(), state, now_ms };
                    // The last of them may just have gone.
                    self.events.send(Arc::new(event)).ok();
                }
                let Some(slot) = self.units.get_mut(&unit) else { return };
                // A worker that lacks the credential has noted a reader's word: those who have it look.
                let noted = observed.state.fingerprint.clone().filter(|_| what == "noted");
                slot.keeper.explain(
                    matches!(what.as_str(), "refreshed" | "adopted" | "unchanged" | "kept"),
                    now,
                );
                let told = Sighting { source: Source::Told, at: now, epoch: None };
                self.observe(&unit, *observed, told);
                if let Some(fingerprint) = noted {
                    self.report(unit.clone(), fingerprint, Reporter::Nobody);
                }
                self.decide(&unit);
            }
            Notice::Touched { unit, key: TouchedKey::Sdk } => self.touched_by_anybody(&unit),
            Notice::Touched { unit, key } => {
                let Some(slot) = self.units.get_mut(&unit) else { return };
                let (keeper, around) = slot.keeper_and(&self.world);
                keeper.touched(key, &around);
                self.decide(&unit);
            }
        }
    }

    async fn stop(mut self) {
        self.health.send_modify(|health| health.stopping = true);
        self.stopping.store(true, Ordering::Release);
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

//! Tells one receiver: looks, claims, sends, and records what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use zhongkong_coordinator::{Ailing, Handle, UnitEvent};
use zhongkong_core::chance::Chance;
use zhongkong_core::clock::millis;
use zhongkong_core::policy::backoff;
use zhongkong_core::ports::StoreError;
use zhongkong_notify::client::TIMEOUT;
use zhongkong_notify::rate::Sent;
use zhongkong_notify::{
    Again, Batch, Change, Client, Key, Look, Memory, Message, Problem, Refused, troubles,
};
use zhongkong_redis::{RedisStore, Swap};

use super::receiver;
use crate::config::NotifyConfig;
use crate::wiring;

/// How often it is looked while something is wrong, or was told to be.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// And while all is well: what began and ended unseen was told by another worker.
const GLANCE_EVERY: Duration = Duration::from_mins(1);
/// After news, so much is waited for more of them.
const GATHER: Duration = Duration::from_millis(300);
/// How long a claim lasts beyond the wait before its message: the message, and its record.
const CLAIM: Duration = TIMEOUT.saturating_mul(2);
/// How often one message is tried under one claim; then it is put off.
const TRIES: u32 = 3;
const RETRY_BASE: Duration = Duration::from_secs(1);
const RETRY_CAP: Duration = Duration::from_secs(8);
/// How long a message is put off that was not taken, by how often in a row.
const PUT_OFF_BASE: Duration = Duration::from_secs(30);
/// And one that waits for somebody to mend something.
const MEND_BASE: Duration = Duration::from_mins(5);
const PUT_OFF_CAP: Duration = Duration::from_hours(1);
/// Between two tries to record that a message was delivered.
const RECORD_AGAIN: Duration = Duration::from_millis(500);

/// Who tells one receiver.
#[derive(Debug)]
pub(super) struct Teller {
    config: NotifyConfig,
    client: Client,
    handle: Handle,
    store: Arc<RedisStore>,
    me: String,
    chance: Arc<dyn Chance>,
    memory: Memory,
    /// The last message was not delivered.
    failing: bool,
    /// What was told could not be read last time.
    blind: bool,
    /// Nothing is tried before this.
    shut_until: Option<Instant>,
}

/// The store's clock, from one reading of it.
#[derive(Clone, Copy, Debug)]
struct StoreClock {
    read_at: Instant,
    now_ms: u64,
}

impl StoreClock {
    fn now_ms(self) -> u64 {
        self.now_ms.saturating_add(millis(self.read_at.elapsed()))
    }
}

impl Teller {
    pub(super) fn new(
        config: NotifyConfig,
        client: Client,
        handle: Handle,
        store: Arc<RedisStore>,
        me: String,
    ) -> Self {
        for outcome in ["sent", "retried", "put_off"] {
            count(&config, outcome, 0);
        }
        Self {
            config,
            client,
            handle,
            store,
            me,
            chance: wiring::chance(),
            memory: Memory::default(),
            failing: false,
            blind: false,
            shut_until: None,
        }
    }

    /// Tells until `stop`; a message under way is finished, or given back.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut events = self.handle.events();
        while !stop.is_cancelled() {
            let wait = self.look(&stop).await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.rest(&mut events, wait) => {}
            }
        }
    }

    /// Waits so long, or until there is news.
    async fn rest(&mut self, events: &mut broadcast::Receiver<Arc<UnitEvent>>, wait: Duration) {
        let rested = sleep(wait);
        tokio::pin!(rested);
        loop {
            let event = tokio::select! {
                () = &mut rested => return,
                event = events.recv() => event,
            };
            match event {
                Ok(event) if self.hear(&event) => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => {
                    rested.await;
                    return;
                }
            }
        }
        sleep(GATHER.min(wait)).await;
    }

    /// Whether `event` may be news.
    fn hear(&mut self, event: &UnitEvent) -> bool {
        let UnitEvent { what, unit, state, now_ms } = event;
        // An idempotent upstream's next answer clears the doubt, before anybody looks.
        let found = troubles(unit, state, *now_ms, &[]);
        let foreign = found.into_iter().find(|t| t.key.problem == Problem::ForeignRefresh);
        let news = foreign.is_some();
        if let Some(foreign) = foreign {
            self.memory.notice(foreign, *now_ms);
        }
        news || matches!(what.as_str(), "refused" | "lost") || self.memory.concerns(unit)
    }

    /// Looks, and tells what there is to tell. Returns when to look again.
    async fn look(&mut self, stop: &CancellationToken) -> Duration {
        // What a worker saw before Redis went away may be over.
        if !self.handle.health().store_up {
            return LOOK_EVERY / 5;
        }
        let shut = self
            .shut_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        if !shut.is_zero() {
            return shut.min(GLANCE_EVERY);
        }
        let read = self.store.told(&self.config.name).await;
        self.say_blind(read.as_ref().err());
        let Ok((stored, now_ms)) = read else { return LOOK_EVERY };
        let clock = StoreClock { read_at: Instant::now(), now_ms };
        let told: BTreeSet<_> =
            stored.keys().filter_map(|field| Some(Key::parse(field)?.unit)).collect();
        let any_told = !told.is_empty();
        let Ok(Ailing { views, living }) = self.handle.ailing(told).await else {
            return LOOK_EVERY;
        };
        let states = views.iter().filter_map(|view| Some((&view.unit, view.state.as_ref()?)));
        let troubles: Vec<_> =
            states.flat_map(|(unit, state)| troubles(unit, state, now_ms, &living)).collect();
        let known = views.iter().map(|view| view.unit.clone()).collect();
        let look =
            Look { now_ms, me: &self.me, troubles: &troubles, known: &known, stored: &stored };
        let plan = self.memory.plan(&look, &self.config.rules);
        if !plan.quiet.is_empty() && !self.swap(plan.quiet).await {
            return self.soon();
        }
        if let Some(batch) = plan.batch {
            return self.tell(batch, &stored, clock, stop).await;
        }
        let at_most = if any_told || !troubles.is_empty() { LOOK_EVERY } else { GLANCE_EVERY };
        let wait = plan.look_at_ms.map(|at_ms| at_ms.saturating_sub(clock.now_ms()));
        wait.map_or(at_most, |ms| Duration::from_millis(ms).min(at_most))
    }

    /// Sends `batch`, if no other worker does.
    async fn tell(
        &mut self,
        mut batch: Batch,
        stored: &BTreeMap<String, String>,
        clock: StoreClock,
        stop: &CancellationToken,
    ) -> Duration {
        let mut sent = stored.get(Sent::FIELD).cloned();
        let (mut wait, mut tries) = (Duration::ZERO, 0);
        loop {
            let now_ms = clock.now_ms();
            let until_ms = now_ms + millis(wait + CLAIM);
            let claim = batch.claim(&self.me, now_ms, until_ms, &mut sent);
            if !self.swap(claim).await {
                return self.soon();
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.cancelled() => {}
            }
            let answer = if stop.is_cancelled() && tries > 0 {
                None
            } else {
                Some(self.send(&batch, clock).await)
            };
            tries += 1;
            let refused = match answer {
                Some(Ok(came_back)) => {
                    self.delivered(&mut batch, clock, &came_back).await;
                    return Duration::ZERO;
                }
                Some(Err(refused)) => refused,
                None => {
                    self.swap(batch.put_off(clock.now_ms())).await;
                    return Duration::ZERO;
                }
            };
            let room_ms =
                Sent::read(sent.as_deref()).room_at_ms(self.config.rules.a_minute, clock.now_ms());
            let soon = refused.again == Again::Soon && room_ms <= clock.now_ms();
            if tries < TRIES && soon {
                count(&self.config, "retried", 1);
                tracing::debug!(
                    receiver = self.config.name,
                    why = refused.why,
                    "a notification was not taken; it is tried again"
                );
                wait = backoff(RETRY_BASE, RETRY_CAP, tries, self.chance.random());
                continue;
            }
            return self.put_off(batch, &refused, clock).await;
        }
    }

    async fn send(&self, batch: &Batch, clock: StoreClock) -> Result<String, Refused> {
        let receiver = receiver(&self.config).await?;
        let message = Message::new(batch, self.config.language);
        self.client.send(&receiver, &message, clock.now_ms()).await
    }

    /// Records that `batch` was delivered. What cannot be recorded is told again: at least once.
    async fn delivered(&mut self, batch: &mut Batch, clock: StoreClock, came_back: &str) {
        count(&self.config, "sent", 1);
        tracing::info!(
            receiver = self.config.name, problem = %batch.problem, what = batch.what.as_str(),
            units = batch.items.len(), answer = came_back,
            "a notification was delivered"
        );
        if std::mem::replace(&mut self.failing, false) {
            tracing::info!(receiver = self.config.name, "notifications are delivered again");
        }
        let changes = batch.told(clock.now_ms());
        let until = Instant::now() + CLAIM / 2;
        while Instant::now() < until {
            match self.store.swap_told(&self.config.name, &swaps(&changes), self.keep()).await {
                // One that was too slow was replaced; there is nothing to record then.
                Ok(_) => return,
                Err(_) => sleep(RECORD_AGAIN).await,
            }
        }
    }

    async fn put_off(
        &mut self,
        mut batch: Batch,
        refused: &Refused,
        clock: StoreClock,
    ) -> Duration {
        count(&self.config, "put_off", 1);
        let (failures, random) = (batch.failures(), self.chance.random());
        let wait = match refused.again {
            Again::Soon => backoff(PUT_OFF_BASE, PUT_OFF_CAP, failures, random),
            Again::After(wait) => wait + random.below(wait / 10),
            Again::WhenMended => backoff(MEND_BASE, PUT_OFF_CAP, failures, random),
        };
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(
                receiver = self.config.name, kind = self.config.kind.as_str(), why = refused.why,
                problem = %batch.problem, retry_in_ms = millis(wait),
                "a notification could not be delivered, and is tried again. What to do: {}",
                refused.advice.en
            );
        }
        self.swap(batch.put_off(clock.now_ms() + millis(wait))).await;
        self.shut_until = Some(Instant::now() + wait);
        Duration::ZERO
    }

    /// Makes changes of what is recorded; false if another worker was quicker, or Redis is away.
    async fn swap(&self, changes: Vec<Change>) -> bool {
        let swapped = self.store.swap_told(&self.config.name, &swaps(&changes), self.keep()).await;
        swapped.unwrap_or(false)
    }

    /// How long what was told is remembered: for longer than until it is told again.
    fn keep(&self) -> Duration {
        let rules = &self.config.rules;
        let longest_ms =
            rules.repeat_interval_ms.max(rules.again_after_ms).max(rules.over_after_ms);
        Duration::from_millis(longest_ms.saturating_mul(2)) + Duration::from_hours(24)
    }

    /// A moment: another worker was quicker.
    fn soon(&self) -> Duration {
        let random = self.chance.random();
        GATHER / 2 + random.below(GATHER)
    }

    /// Says once that nothing can be told, and once that it can again.
    fn say_blind(&mut self, error: Option<&StoreError>) {
        if std::mem::replace(&mut self.blind, error.is_some()) == error.is_some() {
            return;
        }
        if let Some(error) = error {
            tracing::warn!(
                receiver = self.config.name, %error,
                "redis does not tell what was notified already: nothing is, until it does"
            );
        } else {
            tracing::info!(receiver = self.config.name, "redis tells again what was notified");
        }
    }
}

fn swaps(changes: &[Change]) -> Vec<Swap> {
    let swap = |Change { field, was, becomes }: &Change| Swap {
        field: field.clone(),
        was: was.clone(),
        becomes: becomes.clone(),
    };
    changes.iter().map(swap).collect()
}

fn count(config: &NotifyConfig, outcome: &'static str, by: u64) {
    counter!(
        "zhongkong_notifications_total",
        "receiver" => config.name.clone(), "outcome" => outcome,
    )
    .increment(by);
}

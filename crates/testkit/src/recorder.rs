//! A recorder of histories: what the upstream, the readers and the cluster do, on the simulator's clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use redis::AsyncConnectionConfig;
use redis::aio::{MultiplexedConnection, PubSub};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use zhongkong_history::{ClusterEvent, Found, History, Read, Record};
use zhongkong_simulator::Handle;

use crate::cluster::{APP_ID, Cluster, key_of};
use crate::story;

/// Where the cluster says what it does.
const EVENTS: &str = "zhongkong:events";

/// How often the reader reads.
const READ_EVERY: Duration = Duration::from_millis(10);
/// A Redis that does not answer for so long gives no answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Until a Redis that cannot be listened to is tried again: before a worker does, so that little is missed.
const LISTEN_AGAIN: Duration = Duration::from_millis(10);
/// A Redis whose clock differs by more was moved; then what it says counts from when it was heard.
const CLOCKS_DIFFER_MS: u64 = 1_000;

/// The kind that is watched unless another is named.
const KIND: &str = "access_token";

/// A recorder at work. It stops when it is dropped.
#[derive(Debug)]
pub struct Recorder {
    notes: Notes,
    begun_at_ms: u64,
    client: redis::Client,
    _tasks: JoinSet<()>,
}

/// Whether anything is still going on in a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Claimed,
    Doubted,
    Settled,
}

/// What all of its tasks share.
#[derive(Clone, Debug)]
struct Notes {
    simulator: Handle,
    /// The kind of the unit that is watched, and its name in the history.
    kind: String,
    unit: String,
    /// When the simulator's clock began, in milliseconds since 1970.
    started_unix_ms: u64,
    records: Arc<Mutex<Vec<Record>>>,
    /// The epoch that was seen last.
    epoch: Arc<Mutex<Option<[String; 2]>>>,
}

impl Recorder {
    /// Records from now on, and reads the cluster's Redis.
    pub async fn start(cluster: &Cluster) -> Self {
        Self::at(&cluster.redis.url(), cluster.simulator.handle()).await
    }

    /// Likewise of the account's only ticket, `kind`: the journal does not tell calls for several apart.
    pub async fn of_ticket(cluster: &Cluster, kind: &str) -> Self {
        Self::watch(&cluster.redis.url(), cluster.simulator.handle(), kind).await
    }

    /// Records from now on, and reads the Redis at `url`.
    pub async fn at(url: &str, simulator: Handle) -> Self {
        Self::watch(url, simulator, KIND).await
    }

    async fn watch(url: &str, simulator: Handle, kind: &str) -> Self {
        let started_unix_ms = simulator.journal_of("").started_unix_ms;
        let (records, epoch) = (Arc::default(), Arc::default());
        let (kind, unit) = (kind.to_owned(), format!("{APP_ID}/{kind}"));
        let notes = Notes { simulator, kind, unit, started_unix_ms, records, epoch };
        let client = redis::Client::open(url).unwrap();
        let pubsub = listen_to(&client).await.unwrap();
        let begun_at_ms = notes.simulator.now_ms();
        if notes.look(&client).await == Some(Rest::Claimed) {
            // The claim was made before anybody listened, and its call may still come.
            notes.add_for_all(ClusterEvent::Deaf);
            notes.add_for_all(ClusterEvent::Heard);
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(notes.clone().listen(client.clone(), pubsub));
        tasks.spawn(notes.clone().read(client.clone()));
        Self { notes, begun_at_ms, client, _tasks: tasks }
    }

    /// Milliseconds of the history's clock.
    pub fn now_ms(&self) -> u64 {
        self.notes.simulator.now_ms()
    }

    /// From when it recorded.
    pub const fn begun_at_ms(&self) -> u64 {
        self.begun_at_ms
    }

    /// Puts what is done to the cluster into the history; returns when.
    pub fn note(&self, what: impl Into<String>) -> u64 {
        self.notes.add_for_all(ClusterEvent::Fault { what: what.into() })
    }

    /// The history so far, with what Redis holds now at its end; none while a claim is open or there is doubt.
    pub async fn history(&self) -> Option<History> {
        if self.notes.look(&self.client).await != Some(Rest::Settled) {
            return None;
        }
        let Notes { simulator, kind, unit, .. } = &self.notes;
        let of_ticket = kind != KIND;
        let mut records =
            story::of_upstream(&simulator.journal_of(APP_ID), unit, of_ticket, self.begun_at_ms);
        records.extend(lock(&self.notes.records).iter().cloned());
        Some(History::new(records))
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Notes {
    fn add(&self, record: Record) {
        lock(&self.records).push(record);
    }

    fn add_for_all(&self, event: ClusterEvent) -> u64 {
        let now_ms = self.simulator.now_ms();
        self.add(Record::everywhere(now_ms, event));
        now_ms
    }

    /// What this Redis holds now, if it answers.
    async fn look(&self, client: &redis::Client) -> Option<Rest> {
        let looking = async {
            let mut connection = client.get_multiplexed_async_connection().await?;
            let mut both = redis::pipe();
            let key = key_of(&self.kind);
            both.atomic().get(&key).hgetall(format!("{key}:state")).cmd("INFO");
            both.query_async::<(Option<String>, BTreeMap<String, String>, String)>(&mut connection)
                .await
        };
        let (token, state, info) = looking.await.ok()?;
        let epoch = ["run_id:", "master_replid2:"].map(|name| {
            let value = info.lines().find_map(|line| line.strip_prefix(name));
            value.unwrap_or_default().to_owned()
        });
        let known = lock(&self.epoch).replace(epoch.clone());
        if known.is_some_and(|known| known != epoch) {
            self.add_for_all(ClusterEvent::EpochChanged);
        }
        let published = token.map(|value| self.fingerprint(&value));
        let reasons = state.get("doubt").cloned().unwrap_or_default();
        let claim_is_open = state.contains_key("intent");
        let rest = match (claim_is_open, reasons.is_empty()) {
            (true, _) => Rest::Claimed,
            (false, false) => Rest::Doubted,
            (false, true) => Rest::Settled,
        };
        let seen = ClusterEvent::Seen { published, reasons, claim_is_open };
        self.add(Record::cluster(self.simulator.now_ms(), &self.unit, seen));
        Some(rest)
    }

    fn fingerprint(&self, value: &str) -> String {
        let token = self.simulator.token(value);
        token.map_or_else(|| "a text that is no token".to_owned(), |token| token.fingerprint)
    }

    async fn listen(self, client: redis::Client, first: PubSub) {
        let mut pubsub = Some(first);
        loop {
            if let Some(pubsub) = pubsub.take() {
                let mut messages = pubsub.into_on_message();
                while let Some(message) = messages.next().await {
                    self.hear(&message.get_payload::<String>().unwrap_or_default());
                }
                self.add_for_all(ClusterEvent::Deaf);
            }
            sleep(LISTEN_AGAIN).await;
            if let Ok(again) = listen_to(&client).await {
                self.add_for_all(ClusterEvent::Heard);
                self.look(&client).await;
                pubsub = Some(again);
            }
        }
    }

    fn hear(&self, event: &str) {
        let now_ms = self.simulator.now_ms();
        if let Some((said_unix_ms, event)) = story::of_cluster(event, &self.kind) {
            // Said before it was heard: a loaded machine hears late.
            let said_at_ms = said_unix_ms.saturating_sub(self.started_unix_ms);
            let is_moved = said_at_ms.abs_diff(now_ms) > CLOCKS_DIFFER_MS;
            let at_ms = if is_moved { now_ms } else { said_at_ms };
            self.add(Record::cluster(at_ms, &self.unit, event));
        }
    }

    /// Reads as all services do, and says what it found.
    async fn read(self, client: redis::Client) {
        let mut ticks = interval(READ_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut connection = None;
        let key = key_of(&self.kind);
        loop {
            ticks.tick().await;
            let asked_at_ms = self.simulator.now_ms();
            let answer = get(&client, &key, &mut connection).await;
            let answered_at_ms = self.simulator.now_ms();
            let found = match answer {
                Err(_) => Found::NoAnswer,
                Ok(None) => Found::Absent,
                Ok(Some(value)) => Found::Token(self.fingerprint(&value)),
            };
            self.add(Record::read(&self.unit, Read { asked_at_ms, answered_at_ms, found }));
        }
    }
}

async fn listen_to(client: &redis::Client) -> redis::RedisResult<PubSub> {
    let mut pubsub = client.get_async_pubsub().await?;
    pubsub.subscribe(EVENTS).await?;
    Ok(pubsub)
}

async fn get(
    client: &redis::Client,
    key: &str,
    slot: &mut Option<MultiplexedConnection>,
) -> redis::RedisResult<Option<String>> {
    let mut connection = if let Some(connection) = slot.take() {
        connection
    } else {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_WITHIN));
        client.get_multiplexed_async_connection_with_config(&config).await?
    };
    let found = redis::cmd("GET").arg(key).query_async(&mut connection).await?;
    *slot = Some(connection);
    Ok(found)
}

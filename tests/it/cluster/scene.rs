//! A Redis Cluster with many units and three workers, recorded and judged.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult, Value};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use zhongkong_history::{Found, History, Limits, Read, Record, Violation, check};
use zhongkong_simulator::{Handle, Settings, Simulator};
use zhongkong_testkit::ports::free_port;
use zhongkong_testkit::worker::Plan;
use zhongkong_testkit::{PATIENCE, RedisCluster, Timings, Worker, story, wait_until};

use crate::setup::ms;

/// A failover takes some seconds, and a token that was replaced just before it must outlive that. What waits for a replica
/// that is gone goes on without it when half of `ahead` is left: time enough for a third of all units.
pub(super) const TIMINGS: Timings = Timings {
    life: ms(40_000),
    overlap: ms(12_000),
    hold: ms(500),
    ahead: ms(18_000),
    request_timeout: ms(1_000),
    lease: ms(2_500),
    drain: ms(3_200),
    spacing: ms(500),
    human_poll: ms(300),
};

/// How often a reader reads each key.
const READ_EVERY: Duration = Duration::from_secs(1);
/// A Redis that does not answer for so long gives no answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Where the workers say what they do.
const EVENTS: &str = "zhongkong:events";
/// The unit of the last word.
const LAST: &str = "last";
/// How often an answer may send a reader on.
const TURNS: usize = 5;

/// All processes; they end when it is dropped.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) workers: Vec<Worker>,
    pub(super) simulator: Simulator,
    pub(super) redis: RedisCluster,
    pub(super) units: usize,
    records: Arc<Mutex<Vec<Record>>>,
    begun_at_ms: u64,
    /// The server at which all events are heard.
    ear: usize,
    recording: JoinSet<()>,
    // Dropped last: the processes write here.
    _directory: TempDir,
}

/// What Redis holds of a unit.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Which server has it.
    pub(super) server: usize,
    pub(super) token_fence: Option<u64>,
    pub(super) generation: u64,
    /// There is no doubt, no open claim, and it is of its server's epoch.
    pub(super) settled: bool,
}

pub(super) fn app_id(unit: usize) -> String {
    format!("wx{unit:04}")
}

pub(super) fn token_key(unit: usize) -> String {
    format!("zhongkong:{{{}}}:access_token", app_id(unit))
}

fn name_of(unit: usize) -> String {
    format!("{}/access_token", app_id(unit))
}

impl Scene {
    /// Starts everything, and waits until every unit is settled.
    pub(super) async fn new(redis: RedisCluster, units: usize) -> Self {
        TIMINGS.check();
        let settings = Settings {
            life: TIMINGS.life,
            overlap: TIMINGS.overlap,
            open: true,
            daily_limit: u32::MAX,
            ..Settings::default()
        };
        let simulator = Simulator::start(settings).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let credentials = credentials(units, &simulator.url());
        std::fs::write(directory.path().join("credentials.toml"), credentials).unwrap();
        std::fs::write(directory.path().join("secret"), "a secret that opens every account")
            .unwrap();
        let mut workers = Vec::new();
        for index in 1..=3 {
            workers.push(Worker::start(plan(index, &redis.url(), &directory)));
        }
        for worker in &mut workers {
            worker.wait_ready().await;
        }
        let scene = Self {
            workers,
            simulator,
            redis,
            units,
            records: Arc::default(),
            begun_at_ms: 0,
            ear: 0,
            recording: JoinSet::new(),
            _directory: directory,
        };
        scene.settled().await;
        scene
    }

    /// What Redis holds of every unit that a server which runs has.
    pub(super) async fn held(&self) -> BTreeMap<usize, Held> {
        let mut held = BTreeMap::new();
        for (server, redis) in self.redis.servers().iter().enumerate() {
            if redis.pid().is_none() {
                continue;
            }
            let info: String = redis.command(&["INFO"]).await;
            let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            let epoch = format!("{}:{}", value("run_id:"), value("master_replid2:"));
            if value("role:") != "master" {
                continue;
            }
            let keys: Vec<String> = redis.command(&["KEYS", "zhongkong:{wx*:state"]).await;
            if keys.is_empty() {
                continue;
            }
            let mut pipe = redis::pipe();
            for key in &keys {
                let fields = ["token_fence", "generation", "doubt", "intent", "epoch"];
                pipe.cmd("HMGET").arg(key).arg(&fields);
            }
            // Those that moved away meanwhile are somebody else's.
            let mut connection = redis.connect().await;
            let states: RedisResult<Vec<RedisResult<Vec<Option<String>>>>> =
                pipe.ignore_errors().query_async(&mut connection).await;
            for (key, state) in keys.iter().zip(states.unwrap_or_default()) {
                let Ok(state) = state else { continue };
                let fields: [Option<String>; 5] = state.try_into().unwrap();
                let [fence, generation, doubt, intent, of] = fields;
                let unit = key.split_once("{wx").unwrap().1.split_once('}').unwrap().0;
                let one = Held {
                    server,
                    token_fence: fence.and_then(|fence| fence.parse().ok()),
                    generation: generation.map_or(0, |number| number.parse().unwrap()),
                    settled: doubt.is_none() && intent.is_none() && of.as_ref() == Some(&epoch),
                };
                held.insert(unit.parse().unwrap(), one);
            }
        }
        held
    }

    /// Waits until every unit has a token that nobody doubts.
    pub(super) async fn settled(&self) -> BTreeMap<usize, Held> {
        let mut all = BTreeMap::new();
        let found = zhongkong_testkit::wait::holds_within(2 * PATIENCE, async || {
            all = self.held().await;
            all.len() == self.units
                && all.values().all(|held| held.settled && held.token_fence.is_some())
        });
        if !found.await {
            let not: Vec<_> = all.iter().filter(|(_, held)| !held.settled).take(5).collect();
            panic!("{} of {} units; not settled: {not:?}\n{}", all.len(), self.units, self.tails());
        }
        all
    }

    pub(super) fn tails(&self) -> String {
        self.workers.iter().map(Worker::tail).collect()
    }

    /// Token calls that the upstream received for a unit.
    pub(super) fn calls(&self, unit: usize) -> u64 {
        self.simulator.calls(&app_id(unit))
    }
}

/// Recording and judging.
impl Scene {
    /// Records from now on; `server` hears all events, and must live.
    pub(super) async fn record(&mut self, server: usize) {
        let simulator = self.simulator.handle();
        let started_unix_ms = simulator.journal_of("").started_unix_ms;
        self.begun_at_ms = simulator.now_ms();
        self.ear = server;
        let client = redis::Client::open(self.redis.server(server).url()).unwrap();
        let mut pubsub = client.get_async_pubsub().await.unwrap();
        pubsub.subscribe(EVENTS).await.unwrap();
        let records = Arc::clone(&self.records);
        self.recording.spawn(async move {
            let mut messages = pubsub.into_on_message();
            while let Some(message) = messages.next().await {
                let text: String = message.get_payload().unwrap_or_default();
                let Some((said_unix_ms, event)) = story::of_cluster(&text, "access_token") else {
                    continue;
                };
                let id: Json = serde_json::from_str(&text).unwrap();
                let unit = format!("{}/access_token", id["id"].as_str().unwrap_or_default());
                let at_ms = said_unix_ms.saturating_sub(started_unix_ms);
                lock(&records).push(Record::cluster(at_ms, unit, event));
            }
        });
        let eyes = Eyes {
            simulator,
            first: self.redis.server(server).port(),
            connections: HashMap::new(),
            owners: HashMap::new(),
            known: HashMap::new(),
        };
        self.recording.spawn(eyes.watch(self.units, Arc::clone(&self.records)));
    }

    /// Ends the workers, and tells everything that was not allowed since the recording began, and what it was about; how many
    /// reads were answered, and how many not.
    pub(super) async fn judged(&mut self) -> (Vec<Violation>, String, (usize, usize)) {
        for worker in &mut self.workers {
            worker.terminate();
            worker.wait_exit().await;
        }
        // A loaded machine hears late: nothing is left to be heard once the last word was.
        let last = json!({"type": "last", "id": LAST, "time_ms": "0"}).to_string();
        let _: i64 = self.redis.server(self.ear).command(&["PUBLISH", EVENTS, &last]).await;
        wait_until("all that was said is heard", PATIENCE, async || {
            let last = format!("{LAST}/access_token");
            lock(&self.records).iter().rev().any(|record| record.unit.as_ref() == Some(&last))
        })
        .await;
        let mut by_unit: HashMap<String, Vec<Record>> = HashMap::new();
        for record in lock(&self.records).iter() {
            let unit = record.unit.clone().unwrap_or_default();
            by_unit.entry(unit).or_default().push(record.clone());
        }
        let limits = Limits {
            from_ms: self.begun_at_ms,
            skew_ms: 20,
            doubt_ms: 40_000,
            // The recording ends in the middle of the next refreshes.
            must_end_settled: false,
            ..Limits::default()
        };
        let (mut found, mut stories, mut reads) = (Vec::new(), String::new(), (0, 0));
        for unit in 0..self.units {
            let (name, app_id) = (name_of(unit), app_id(unit));
            let mut records = by_unit.remove(&name).unwrap_or_default();
            for record in &records {
                if let zhongkong_history::What::Reader(read) = &record.what {
                    let answered = !matches!(read.found, Found::NoAnswer);
                    *(if answered { &mut reads.0 } else { &mut reads.1 }) += 1;
                }
            }
            let journal = self.simulator.journal_of(&app_id);
            records.extend(story::of_upstream(&journal, &name, false, self.begun_at_ms));
            let history = History::new(records);
            let here = check(&history, &limits);
            if let Some(first) = here.first().filter(|_| stories.len() < 20_000) {
                writeln!(stories, "{first}\n{}", history.story_around(first.at_ms, 6_000)).unwrap();
            }
            found.extend(here);
        }
        (found, stories, reads)
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A service that reads every key, as clients of a cluster do.
struct Eyes {
    simulator: Handle,
    /// The port of a server that is asked as long as nobody says who has a key.
    first: u16,
    connections: HashMap<u16, MultiplexedConnection>,
    owners: HashMap<usize, u16>,
    /// What was found before: the truth about thousands of tokens is asked for once each.
    known: HashMap<String, String>,
}

impl Eyes {
    async fn watch(mut self, units: usize, records: Arc<Mutex<Vec<Record>>>) {
        let mut ticks = interval(READ_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut groups: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
            for unit in 0..units {
                let port = *self.owners.get(&unit).unwrap_or(&self.first);
                groups.entry(port).or_default().push(unit);
            }
            for (port, units) in groups {
                let asked_at_ms = self.simulator.now_ms();
                let mut pipe = redis::pipe();
                for unit in &units {
                    pipe.cmd("GET").arg(token_key(*unit));
                }
                let results = self.ask(port, &mut pipe).await;
                for (place, unit) in units.into_iter().enumerate() {
                    let result = results.as_ref().and_then(|results| results.get(place));
                    let found = match result {
                        None => {
                            // Whoever else is asked knows who has taken over.
                            self.owners.remove(&unit);
                            Found::NoAnswer
                        }
                        Some(Ok(value)) => self.found(value.clone()),
                        Some(Err(error)) => match error.redirect_node() {
                            Some((to, _)) => {
                                let asking = error.kind() == redis::ServerErrorKind::Ask.into();
                                let to = to.rsplit_once(':').unwrap().1.parse().unwrap();
                                self.follow(unit, to, asking).await
                            }
                            None => Found::NoAnswer,
                        },
                    };
                    let answered_at_ms = self.simulator.now_ms();
                    let read = Read { asked_at_ms, answered_at_ms, found };
                    lock(&records).push(Record::read(name_of(unit), read));
                }
            }
        }
    }

    async fn follow(&mut self, unit: usize, mut port: u16, mut asking: bool) -> Found {
        for _ in 0..TURNS {
            let mut pipe = redis::pipe();
            if asking {
                pipe.cmd("ASKING");
            } else {
                self.owners.insert(unit, port);
            }
            pipe.cmd("GET").arg(token_key(unit));
            match self.ask(port, &mut pipe).await.and_then(|mut results| results.pop()) {
                Some(Ok(value)) => return self.found(value),
                Some(Err(error)) => {
                    let Some((to, _)) = error.redirect_node() else { return Found::NoAnswer };
                    asking = error.kind() == redis::ServerErrorKind::Ask.into();
                    port = to.rsplit_once(':').unwrap().1.parse().unwrap();
                }
                None => return Found::NoAnswer,
            }
        }
        Found::NoAnswer
    }

    async fn ask(
        &mut self,
        port: u16,
        pipe: &mut redis::Pipeline,
    ) -> Option<Vec<RedisResult<Value>>> {
        let mut connection = if let Some(connection) = self.connections.remove(&port) {
            connection
        } else {
            let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_WITHIN));
            client.get_multiplexed_async_connection_with_config(&config).await.ok()?
        };
        let results = pipe.ignore_errors().query_async(&mut connection).await.ok()?;
        self.connections.insert(port, connection);
        Some(results)
    }

    fn found(&mut self, value: Value) -> Found {
        match redis::from_redis_value::<Option<String>>(value) {
            Ok(None) => Found::Absent,
            Ok(Some(value)) => {
                let simulator = &self.simulator;
                let fingerprint = self.known.entry(value).or_insert_with_key(|value| {
                    let text = || "a text that is no token".to_owned();
                    simulator.token(value).map_or_else(text, |token| token.fingerprint)
                });
                Found::Token(fingerprint.clone())
            }
            Err(_) => Found::NoAnswer,
        }
    }
}

fn credentials(units: usize, url: &str) -> String {
    let (overlap, hold) = (TIMINGS.overlap.as_millis(), TIMINGS.hold.as_millis());
    let mut text = String::new();
    for unit in 0..units {
        let app_id = app_id(unit);
        writeln!(
            text,
            "[[credentials]]\nprovider = \"wechat\"\napp_id = \"{app_id}\"\n\
             secret = {{ file = \"secret\" }}\nbase_url = \"{url}\"\n\
             overlap = \"{overlap}ms\"\nhold = \"{hold}ms\""
        )
        .unwrap();
    }
    text
}

fn plan(index: usize, redis_url: &str, directory: &TempDir) -> Plan {
    let (name, port) = (format!("worker-{index}"), free_port());
    let configuration = format!(
        "include = [\"credentials.toml\"]\n[redis]\nurl = {redis_url:?}\n[worker]\nname = {name:?}\n\
         [http]\nlisten = \"127.0.0.1:{port}\"\n{}probe_interval = \"0s\"\nreconcile_rate = 200\n",
        TIMINGS.to_toml()
    );
    Plan {
        name,
        binary: env!("CARGO_BIN_EXE_zhongkong-under-test").into(),
        directory: directory.path().to_owned(),
        configuration,
        port,
        within: None,
        environment: vec![
            ("RUST_LOG".to_owned(), "info".to_owned()),
            ("ZHONGKONG__LOG__FORMAT".to_owned(), "text".to_owned()),
        ],
    }
}

/// Waits for something, and shows what the workers said last if it does not come.
pub(super) async fn until(scene: &Scene, what: &str, condition: impl AsyncFnMut() -> bool) {
    let came = zhongkong_testkit::wait::holds_within(2 * PATIENCE, condition).await;
    assert!(came, "not within twice {PATIENCE:?}: {what}\n{}", scene.tails());
}

/// Waits until the replica of a killed primary has its slots.
pub(super) async fn taken_over(scene: &Scene, replica: usize) {
    wait_until("the replica has taken over", PATIENCE, async || {
        let nodes: String = scene.redis.server(replica).command(&["CLUSTER", "NODES"]).await;
        nodes.lines().any(|line| line.contains("myself,master") && line.split(' ').count() > 8)
    })
    .await;
}

//! The processes of one benchmark: a redis-server, the simulated upstream, workers with as many units as wanted.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use zhongkong_simulator::{FaultKind, Scope, Settings, Simulator};
use zhongkong_testkit::ports::free_port;
use zhongkong_testkit::worker::Plan;
use zhongkong_testkit::{RedisServer, Timings, Worker};

use crate::redis_side::connect;

/// Credentials in one file: it must stay below the most that a file may have.
const CREDENTIALS_A_FILE: usize = 10_000;
/// Fields of states that are asked for in one pipeline.
const FIELDS_AT_ONCE: usize = 1_000;
/// Nothing that is waited for takes longer, unless it is broken.
const PATIENCE: Duration = Duration::from_mins(10);

/// What is to be on the stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cast {
    pub(crate) units: usize,
    pub(crate) timings: Timings,
    /// How long the upstream takes for its answer.
    pub(crate) latency: Duration,
    /// How often the workers try each token against the upstream; `0s` = never, so that all calls have a known cause.
    pub(crate) probe_interval: &'static str,
}

/// All processes; they end when it is dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) workers: Vec<Worker>,
    pub(crate) simulator: Simulator,
    pub(crate) redis: RedisServer,
    pub(crate) cast: Cast,
    binary: PathBuf,
    // Dropped last: the processes write here.
    directory: TempDir,
}

impl Stage {
    /// Starts Redis and the upstream; for the workers see [`Self::start_workers`].
    pub(crate) async fn build(binary: PathBuf, cast: Cast) -> Self {
        cast.timings.check();
        let redis = RedisServer::start().await;
        let settings = Settings {
            life: cast.timings.life,
            overlap: cast.timings.overlap,
            open: true,
            // The benchmarks fetch more often than WeChat lets anybody.
            daily_limit: u32::MAX,
            ..Settings::default()
        };
        let simulator = Simulator::start(settings).await.expect("a free port");
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        let stage = Self { workers: Vec::new(), simulator, redis, cast, binary, directory };
        stage.set_latency(cast.latency);
        stage.write_credentials();
        stage
    }

    /// Every token call is answered so much later from now on.
    pub(crate) fn set_latency(&self, latency: Duration) {
        self.simulator.clear_faults();
        if !latency.is_zero() {
            let ms = u64::try_from(latency.as_millis()).expect("a short time");
            self.simulator.set_fault(FaultKind::Latency { ms }, Scope::default());
        }
    }

    /// Starts `count` more workers, and waits until all are ready.
    pub(crate) async fn start_workers(&mut self, count: usize) {
        for _ in 0..count {
            self.start_worker();
        }
        for worker in &mut self.workers {
            let pid = worker.pid();
            until(&format!("worker {pid} is ready"), async || worker.is_ready().await).await;
        }
    }

    /// Starts one more worker, and waits for nothing.
    pub(crate) fn start_worker(&mut self) {
        let plan = self.plan(self.workers.len() + 1);
        self.workers.push(Worker::start(plan));
    }

    /// Ends all workers in their own time.
    pub(crate) async fn stop_workers(&mut self) {
        for mut worker in self.workers.drain(..) {
            worker.terminate();
            worker.wait_exit().await;
        }
    }

    fn plan(&self, index: usize) -> Plan {
        let name = format!("worker-{index}");
        let port = free_port();
        let Cast { timings, probe_interval, .. } = self.cast;
        let configuration = format!(
            "include = [\"credentials-*.toml\"]\n\
             [redis]\nurl = {redis:?}\n\
             [worker]\nname = {name:?}\n\
             [http]\nlisten = \"127.0.0.1:{port}\"\n\
             {refresh}probe_interval = {probe_interval:?}\n",
            redis = self.redis.url(),
            refresh = timings.to_toml(),
        );
        Plan {
            name,
            binary: self.binary.clone(),
            directory: self.directory.path().to_owned(),
            configuration,
            port,
            within: None,
            environment: vec![("ZHONGKONG__LOG__FORMAT".to_owned(), "text".to_owned())],
        }
    }

    /// All workers read the same credentials, with one secret file.
    fn write_credentials(&self) {
        let Timings { overlap, hold, .. } = self.cast.timings;
        let url = self.simulator.url();
        let (overlap, hold) = (overlap.as_millis(), hold.as_millis());
        let directory = self.directory.path();
        std::fs::write(directory.join("secret"), "a secret that opens every account").unwrap();
        let all: Vec<usize> = (0..self.cast.units).collect();
        for (number, some) in all.chunks(CREDENTIALS_A_FILE).enumerate() {
            let mut text = String::new();
            for unit in some {
                let app_id = app_id(*unit);
                write!(
                    text,
                    "[[credentials]]\nprovider = \"wechat\"\napp_id = \"{app_id}\"\n\
                     secret = {{ file = \"secret\" }}\nbase_url = \"{url}\"\n\
                     overlap = \"{overlap}ms\"\nhold = \"{hold}ms\"\n"
                )
                .expect("text grows");
            }
            std::fs::write(directory.join(format!("credentials-{number}.toml")), text).unwrap();
        }
    }
}

/// What Redis and the upstream hold.
impl Stage {
    /// One field of every unit's state, in the order of the units.
    pub(crate) async fn field_of_all(&self, field: &str) -> Vec<Option<String>> {
        let mut connection = connect(&self.redis).await;
        let mut fields: Vec<Option<String>> = Vec::new();
        while fields.len() < self.cast.units {
            let mut pipe = redis::pipe();
            // In pieces, so that the workers are not held up.
            for unit in (fields.len()..self.cast.units).take(FIELDS_AT_ONCE) {
                pipe.cmd("HGET").arg(state_key(unit)).arg(field);
            }
            let some: Vec<_> = pipe.query_async(&mut connection).await.expect("redis answers");
            fields.extend(some);
        }
        fields
    }

    /// The sum of one number of every unit's state.
    pub(crate) async fn sum_of(&self, field: &str) -> u64 {
        let fields = self.field_of_all(field).await;
        fields.iter().flatten().map(|number| number.parse::<u64>().expect("a number")).sum()
    }

    /// Waits until every unit has a token that nobody doubts, and no claim is current.
    pub(crate) async fn settle(&self) {
        until("every unit is settled", async || {
            let tokens = self.field_of_all("token_fence").await;
            let (doubts, intents) =
                (self.field_of_all("doubt").await, self.field_of_all("intent").await);
            tokens.iter().all(Option::is_some) && doubts.iter().chain(&intents).all(Option::is_none)
        })
        .await;
    }

    /// Token calls that the upstream received for all units.
    pub(crate) fn upstream_calls(&self) -> u64 {
        (0..self.cast.units).map(|unit| self.simulator.calls(&app_id(unit))).sum()
    }
}

/// A worker's requests upstream so far, probes too: how long they took in all, in seconds, and how many they were.
pub(crate) async fn requests_upstream(worker: &Worker) -> (f64, f64) {
    let metrics = worker.get("/metrics").await.expect("an answer").body;
    let number = |suffix: &str| {
        let name = format!("zhongkong_upstream_request_duration_seconds_{suffix} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name)).expect("the metric");
        line.parse().expect("a number")
    };
    (number("sum"), number("count"))
}

/// The account of a unit.
pub(crate) fn app_id(unit: usize) -> String {
    format!("wx{unit:016x}")
}

/// The key that readers of a unit read.
pub(crate) fn token_key(unit: usize) -> String {
    format!("zhongkong:{{{}}}:access_token", app_id(unit))
}

/// A unit's state.
pub(crate) fn state_key(unit: usize) -> String {
    format!("{}:state", token_key(unit))
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

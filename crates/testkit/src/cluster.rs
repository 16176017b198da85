//! A Redis, a simulated upstream and workers; what they say and hold.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use zhongkong_simulator::Simulator;

use crate::builder::{ClusterBuilder, caller};
use crate::namespace::Namespace;
use crate::proxy::Proxy;
use crate::reader::Reader;
use crate::server::RedisServer;
use crate::timings::Timings;
use crate::wait::{PATIENCE, holds_within};
use crate::worker::{Plan, Worker};

/// The one account.
pub const APP_ID: &str = "wx-test";
/// Its secret: a text that no log has by chance.
pub const SECRET: &str = "5ecret-of-wx-test-c0ffee";

/// The key that readers read.
pub const TOKEN_KEY: &str = "zhongkong:{wx-test}:access_token";
/// The unit's state.
pub const STATE_KEY: &str = "zhongkong:{wx-test}:access_token:state";
/// The mirror of a current claim.
pub const LOCK_KEY: &str = "zhongkong:{wx-test}:access_token:lock";

/// The key from which readers read the account's `kind`.
pub fn key_of(kind: &str) -> String {
    format!("zhongkong:{{{APP_ID}}}:{kind}")
}

/// A running cluster, private to its test; all of it ends when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    workers: Vec<Worker>,
    /// The upstream: the truth, and its faults.
    pub simulator: Simulator,
    /// The store.
    pub redis: RedisServer,
    timings: Timings,
    plans: Vec<Option<Plan>>,
    ways: Vec<Ways>,
    // Dropped last: the processes write here.
    directory: TempDir,
}

/// The ways of one worker, if [`ClusterBuilder::proxied`].
#[derive(Debug)]
pub struct Ways {
    /// To Redis.
    pub redis: Proxy,
    /// To the upstream.
    pub upstream: Proxy,
    /// The network that it lives in, if [`ClusterBuilder::in_namespaces`].
    pub namespace: Option<Namespace>,
}

impl Cluster {
    /// A cluster to be, whose workers run `binary`: `env!("CARGO_BIN_EXE_zhongkong")`.
    pub fn builder(binary: impl Into<PathBuf>) -> ClusterBuilder {
        ClusterBuilder::new(binary)
    }

    pub(crate) fn new(
        redis: RedisServer,
        simulator: Simulator,
        timings: Timings,
        plans: Vec<(Plan, Option<Ways>)>,
        directory: TempDir,
    ) -> Self {
        let (plans, ways): (Vec<_>, Vec<_>) = plans.into_iter().unzip();
        let (plans, ways) = (plans.into_iter().map(Some).collect(), ways.into_iter().flatten());
        let (workers, ways) = (Vec::new(), ways.collect());
        Self { workers, simulator, redis, timings, plans, ways, directory }
    }

    /// The times that all go by.
    pub const fn timings(&self) -> &Timings {
        &self.timings
    }
}

/// Its workers, counted from 1 as in their names.
impl Cluster {
    /// Starts a worker that was only prepared.
    pub fn start_worker(&mut self, index: usize) -> &mut Worker {
        let plan = self.plans[index - 1].take().expect("it was not started yet");
        self.workers.push(Worker::start(plan));
        self.worker(index)
    }

    /// One worker.
    pub fn worker(&mut self, index: usize) -> &mut Worker {
        self.worker_named(&format!("worker-{index}"))
    }

    /// The worker of this name.
    pub fn worker_named(&mut self, name: &str) -> &mut Worker {
        let worker = self.workers.iter_mut().find(|worker| worker.name() == name);
        worker.expect("a worker of this name was started")
    }

    /// All that were started, whether or not they run.
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// All that were started, to be disturbed.
    pub fn workers_mut(&mut self) -> &mut [Worker] {
        &mut self.workers
    }

    /// The ways of one worker, counted from 0 as in [`Self::workers`], if [`ClusterBuilder::proxied`].
    pub fn ways(&self, index: usize) -> &Ways {
        &self.ways[index]
    }

    /// The address from which a worker calls the upstream, if [`ClusterBuilder::own_callers`].
    pub fn caller_of(&self, index: usize) -> IpAddr {
        caller(index)
    }

    /// Changes the secret file of one worker, in one step as tools that know their job do.
    pub fn set_secret_file(&self, index: usize, secret: &str) {
        let path = self.directory.path().join(format!("worker-{index}.secret"));
        let beside = path.with_extension("new");
        std::fs::write(&beside, secret).unwrap();
        std::fs::rename(beside, path).unwrap();
    }

    /// All that all workers said so far.
    pub fn output(&self) -> String {
        self.workers.iter().map(Worker::output).collect()
    }

    /// The last lines of all workers, for a test that fails.
    pub fn tails(&self) -> String {
        self.workers.iter().map(Worker::tail).collect()
    }
}

/// What Redis holds.
impl Cluster {
    /// The token that readers find.
    pub async fn token(&self) -> Option<String> {
        self.redis.command(&["GET", TOKEN_KEY]).await
    }

    /// The ticket that readers find.
    pub async fn ticket(&self, kind: &str) -> Option<String> {
        self.redis.command(&["GET", &key_of(kind)]).await
    }

    /// The state of the account's `kind`; empty if there is none.
    pub async fn state_of(&self, kind: &str) -> BTreeMap<String, String> {
        self.redis.command(&["HGETALL", &format!("{}:state", key_of(kind))]).await
    }

    /// The unit's state; empty if there is none.
    pub async fn state(&self) -> BTreeMap<String, String> {
        self.redis.command(&["HGETALL", STATE_KEY]).await
    }

    /// One number of the state; 0 if it is absent.
    pub async fn state_number(&self, field: &str) -> u64 {
        let text: Option<String> = self.redis.command(&["HGET", STATE_KEY, field]).await;
        text.map_or(0, |text| text.parse().expect("a number"))
    }

    /// The name of the worker whose claim is current.
    pub async fn who_refreshes(&self) -> Option<String> {
        let lock: Option<String> = self.redis.command(&["GET", LOCK_KEY]).await;
        let lock = lock?;
        let (_fence, worker) = lock.split_once(':').expect("<fence>:<worker>");
        Some(worker.to_owned())
    }

    /// Whether readers find the newest token that the upstream issued.
    pub async fn newest_is_published(&self) -> bool {
        let newest = self.simulator.newest(APP_ID).map(|token| token.value);
        newest.is_some() && newest == self.token().await
    }

    /// Whether the newest token is published, and nobody doubts that or refreshes it.
    pub async fn is_settled(&self) -> bool {
        let state = self.state().await;
        let clear = |field: &str| state.get(field).is_none_or(String::is_empty);
        clear("doubt")
            && clear("intent")
            && self.simulator.summary(APP_ID).under_way == 0
            && self.newest_is_published().await
    }
}

/// Waiting.
impl Cluster {
    /// Waits until the cluster settled: first token, and the fetch that clears a cold start's doubt.
    pub async fn settle(&self) {
        self.wait_until("the cluster settles", PATIENCE, async || self.is_settled().await).await;
    }

    /// Waits until `condition` holds; panics with what the workers said last if it does not in time.
    pub async fn wait_until(
        &self,
        what: &str,
        timeout: Duration,
        condition: impl AsyncFnMut() -> bool,
    ) {
        if !holds_within(timeout, condition).await {
            // The state has the token: its fields are worth more than its secrecy in a test.
            let state = self.state().await;
            panic!("not within {timeout:?}: {what}\n{state:#?}\n{}", self.tails());
        }
    }

    /// A reader of the unit's key, every 10 ms.
    pub fn reader(&self) -> Reader {
        self.reader_every(Duration::from_millis(10))
    }

    /// A reader of the unit's key.
    pub fn reader_every(&self, interval: Duration) -> Reader {
        Reader::start(&self.redis.url(), self.simulator.handle(), TOKEN_KEY, interval)
    }

    /// A reader of the account's `kind`, every 10 ms.
    pub fn reader_of(&self, kind: &str) -> Reader {
        let every = Duration::from_millis(10);
        Reader::start(&self.redis.url(), self.simulator.handle(), &key_of(kind), every)
    }
}

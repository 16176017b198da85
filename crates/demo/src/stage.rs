//! The processes of the demo: a Redis, the simulated upstream, three workers.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zhongkong_testkit::builder::{WorkerAccount, configuration};
use zhongkong_testkit::cluster::{APP_ID, LOCK_KEY, SECRET, STATE_KEY, TOKEN_KEY};
use zhongkong_testkit::ports::free_port;
use zhongkong_testkit::server;
use zhongkong_testkit::wait::holds_within;
use zhongkong_testkit::worker::Plan;
use zhongkong_testkit::{RedisServer, Timings, Worker, http};

use crate::upstream::Upstream;

const WORKERS: usize = 3;
const READY_WITHIN: Duration = Duration::from_secs(20);
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// How often a token is tried against the upstream: after half of this to one and a half.
/// In production every five minutes.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_millis(1_500);

/// Times that a person can follow; in production a token lives two hours.
pub(crate) const TIMINGS: Timings = Timings {
    life: Duration::from_secs(20),
    overlap: Duration::from_secs(7),
    hold: Duration::from_millis(500),
    // Late enough for the probe to find a token that was killed right after it was published.
    ahead: Duration::from_secs(9),
    request_timeout: Duration::from_secs(1),
    lease: Duration::from_secs(2),
    drain: Duration::from_millis(2_500),
    spacing: Duration::from_millis(500),
    human_poll: Duration::from_secs(1),
};

/// A token that readers find. Has no derived `Debug`, because it holds the token.
pub(crate) struct Published {
    pub(crate) token: String,
    pub(crate) fingerprint: String,
}

/// All processes; they end when it is dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) workers: Vec<Worker>,
    pub(crate) upstream: Upstream,
    pub(crate) redis: RedisServer,
    /// Requests that were sent to workers, and whose answers nobody waits for.
    requests: JoinSet<()>,
    /// `zhongkong` itself.
    pub(crate) binary: PathBuf,
    // Dropped last: the processes write here.
    directory: TempDir,
}

impl Stage {
    /// Starts Redis and the upstream; the workers come when everybody is watching.
    pub(crate) async fn build() -> anyhow::Result<Self> {
        TIMINGS.check();
        let (binary, simulator) = (beside("zhongkong")?, beside("zhongkong-simulator")?);
        let version = Command::new(server::program()).arg("--version").output().await;
        version.context("redis-server is not installed (apt-get install redis-server)")?;
        let directory = tempfile::Builder::new().prefix("zhongkong-demo-").tempdir()?;
        let redis = RedisServer::start().await;
        let log = directory.path().join("simulator.log");
        let upstream = Upstream::start(&simulator, &TIMINGS, &log).await?;
        let (workers, requests) = (Vec::new(), JoinSet::new());
        Ok(Self { workers, upstream, redis, requests, binary, directory })
    }

    /// Starts the workers, and waits until all are ready.
    pub(crate) async fn start_workers(&mut self) -> anyhow::Result<()> {
        for index in 1..=WORKERS {
            let plan = self.plan(index)?;
            self.workers.push(Worker::start(plan));
        }
        for worker in &mut self.workers {
            wait_ready(worker).await?;
        }
        Ok(())
    }

    fn plan(&self, index: usize) -> anyhow::Result<Plan> {
        let name = &format!("worker-{index}");
        let directory = self.directory.path().to_owned();
        std::fs::write(directory.join(format!("{name}.secret")), SECRET)?;
        let port = free_port();
        let base_url = self.upstream.url_as(address(index));
        let account = WorkerAccount { provider: "wechat", base_url: &base_url };
        let configuration = configuration(name, &self.redis.url(), port, &TIMINGS, account);
        Ok(Plan {
            name: name.to_owned(),
            binary: self.binary.clone(),
            directory,
            configuration,
            port,
            environment: vec![
                ("RUST_LOG".to_owned(), "info,zhongkong=debug".to_owned()),
                ("ZHONGKONG__LOG__FORMAT".to_owned(), "text".to_owned()),
                (
                    "ZHONGKONG__REFRESH__PROBE_INTERVAL".to_owned(),
                    format!("{}ms", PROBE_INTERVAL.as_millis()),
                ),
            ],
            within: None,
        })
    }

    /// The worker of this name.
    pub(crate) fn worker(&mut self, name: &str) -> anyhow::Result<&mut Worker> {
        let worker = self.workers.iter_mut().find(|worker| worker.name() == name);
        worker.with_context(|| format!("there is no worker {name:?}"))
    }

    /// Starts a worker again, and waits until it is ready.
    pub(crate) async fn restart(&mut self, name: &str) -> anyhow::Result<()> {
        let worker = self.worker(name)?;
        worker.restart();
        wait_ready(worker).await
    }

    /// The worker whose claim is current: anybody can see it in Redis.
    pub(crate) async fn refresher(&self) -> anyhow::Result<String> {
        let lock: Option<String> = self.redis.command(&["GET", LOCK_KEY]).await;
        let lock = lock.context("nobody holds the lock")?;
        let (_fence, worker) = lock.split_once(':').context("the lock names its worker")?;
        Ok(worker.to_owned())
    }

    /// Asks a worker for a refresh now, as an operator would, and does not wait for the outcome.
    pub(crate) fn force_refresh(&mut self) {
        let url = format!("{}/v1/credentials/{APP_ID}/refresh", self.workers[0].http_url());
        self.requests.spawn(async move {
            // The events tell what comes of it; the worker asked may itself be the one that dies.
            drop(http::post(&url, &json!({ "force": true })).await);
        });
    }

    /// Waits until the newest token is published, without doubt, and nobody refreshes.
    pub(crate) async fn settle(&self, patience: Duration) -> anyhow::Result<()> {
        if holds_within(patience, async || self.is_settled().await.unwrap_or(false)).await {
            return Ok(());
        }
        bail!("no settled state within {patience:?}: {:?}", self.state().await);
    }

    async fn is_settled(&self) -> anyhow::Result<bool> {
        let summary = self.upstream.summary().await?;
        let state = self.state().await;
        let field = |name: &str| {
            let found = state.iter().find(|(field, _)| field == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let readable: bool = self.redis.command(&["EXISTS", TOKEN_KEY]).await;
        Ok(readable
            && field("doubt").is_empty()
            && field("intent").is_empty()
            && summary["under_way"] == 0
            && summary["newest"] == field("fingerprint"))
    }

    /// The token that readers find now.
    pub(crate) async fn published(&self) -> anyhow::Result<Published> {
        let token: Option<String> = self.redis.command(&["GET", TOKEN_KEY]).await;
        let fingerprint: Option<String> =
            self.redis.command(&["HGET", STATE_KEY, "fingerprint"]).await;
        let (token, fingerprint) = token.zip(fingerprint).context("no token is published")?;
        Ok(Published { token, fingerprint })
    }

    /// The addresses from which the workers call the upstream, each with its worker's name.
    pub(crate) fn addresses(&self) -> Vec<(String, IpAddr)> {
        let workers = self.workers.iter().zip(1..);
        workers.map(|(worker, index)| (worker.name().to_owned(), address(index))).collect()
    }

    /// What `zhongkong status` prints.
    pub(crate) async fn status(&self) -> anyhow::Result<String> {
        let output = self.workers[0].run_command(&["status"]).await;
        ensure!(output.status.success(), "`zhongkong status` fails: {}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The worker that logged a message which begins like this, and the message.
    pub(crate) fn logged(&self, beginning: &str) -> Option<(String, String)> {
        self.workers.iter().find_map(|worker| {
            let output = worker.output();
            let line = output.lines().rfind(|line| line.contains(beginning))?;
            let message = &line[line.find(beginning)?..];
            // Fields follow the message.
            let message = message.split(" credential.id=").next().unwrap_or(message);
            Some((worker.name().to_owned(), message.to_owned()))
        })
    }

    /// The unit's state without the token.
    async fn state(&self) -> Vec<(String, String)> {
        let mut state: Vec<(String, String)> = self.redis.command(&["HGETALL", STATE_KEY]).await;
        state.retain(|(name, _)| name != "token");
        state
    }

    /// Where configurations and logs are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Asks the workers to stop, ends all processes, and removes all files unless they are of use.
    pub(crate) async fn close(mut self, keep_files: bool) {
        self.requests.abort_all();
        for worker in &mut self.workers {
            if worker.is_running() {
                worker.resume();
                worker.terminate();
            }
        }
        for worker in &mut self.workers {
            if worker.is_running() && timeout(ENDS_WITHIN, worker.wait_exit()).await.is_err() {
                worker.kill9().await;
            }
        }
        self.redis.kill().await;
        self.directory.disable_cleanup(keep_files);
    }
}

/// The address from which a worker calls the upstream, as that sees it. Nobody has one of these (RFC 5737).
fn address(index: usize) -> IpAddr {
    Ipv4Addr::new(203, 0, 113, u8::try_from(index).expect("a few workers")).into()
}

async fn wait_ready(worker: &mut Worker) -> anyhow::Result<()> {
    let mut gone = false;
    let ready = holds_within(READY_WITHIN, async || {
        gone = !worker.is_running();
        gone || worker.is_ready().await
    });
    ensure!(ready.await && !gone, "{} is not ready\n{}", worker.name(), worker.tail());
    Ok(())
}

/// A binary in the directory of this one: they are built together.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{} is not there: run `make demo`", path.display());
    Ok(path)
}

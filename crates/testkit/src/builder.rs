//! How a cluster is to be made.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use zhongkong_simulator::{Account, Settings, Simulator};

use crate::cluster::{APP_ID, Cluster, SECRET, Ways};
use crate::namespace::Namespace;
use crate::ports::free_port;
use crate::proxy::Proxy;
use crate::server::RedisServer;
use crate::timings::Timings;
use crate::worker::Plan;

/// A cluster to be. The defaults: three workers, one account at `cgi-bin/token`, [`Timings`]'.
#[derive(Debug)]
#[must_use = "nothing is started yet"]
pub struct ClusterBuilder {
    binary: PathBuf,
    workers: usize,
    timings: Timings,
    settings: Settings,
    provider: String,
    own_callers: bool,
    proxied: bool,
    namespaces: Vec<Namespace>,
    toml: String,
    environment: Vec<(Option<usize>, String, String)>,
    secrets: Vec<(usize, String)>,
    redis_options: Vec<String>,
    redis_environment: Vec<(&'static str, PathBuf)>,
}

impl ClusterBuilder {
    /// A cluster whose workers run `binary`: `env!("CARGO_BIN_EXE_zhongkong")`.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            workers: 3,
            timings: Timings::default(),
            settings: Settings::default(),
            provider: "wechat".to_owned(),
            own_callers: false,
            proxied: false,
            namespaces: Vec::new(),
            toml: String::new(),
            environment: Vec::new(),
            secrets: Vec::new(),
            redis_options: Vec::new(),
            redis_environment: Vec::new(),
        }
    }

    /// So many workers, `worker-1` and on.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// All times.
    pub fn timings(mut self, timings: Timings) -> Self {
        self.timings = timings;
        self
    }

    /// A token's life alone; it must be longer than the overlap.
    pub fn life(mut self, life: Duration) -> Self {
        self.timings.life = life;
        self
    }

    /// The upstream lets only the newest two tokens live.
    pub fn newest_two_only(self) -> Self {
        self.upstream(|settings| settings.newest_two_only = true)
    }

    /// Any other change of the upstream; its life and overlap are those of the timings.
    pub fn upstream(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// `wechat-stable` instead of `wechat`.
    pub fn stable(mut self) -> Self {
        "wechat-stable".clone_into(&mut self.provider);
        self
    }

    /// The workers keep these tickets, too: `["jsapi", "wx_card"]`.
    pub fn tickets(self, names: &[&str]) -> Self {
        self.toml(&format!("tickets = {names:?}"))
    }

    /// Each worker calls the upstream from an address of its own, [`Cluster::caller_of`].
    pub fn own_callers(mut self) -> Self {
        self.own_callers = true;
        self
    }

    /// Each worker reaches Redis and the upstream through proxies of its own, [`Cluster::ways`].
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Each worker lives in one of these networks, and is [`Self::proxied`]. Its HTTP interface is reached from there only.
    pub fn in_namespaces(self, namespaces: Vec<Namespace>) -> Self {
        Self { workers: namespaces.len(), namespaces, ..self.proxied() }
    }

    /// More configuration for all workers. It stands after the credential, so keys without a
    /// section of their own belong to that.
    pub fn toml(mut self, toml: &str) -> Self {
        self.toml.push_str(toml);
        self.toml.push('\n');
        self
    }

    /// A variable for all workers: `ZHONGKONG__REFRESH__LEASE`, `RUST_LOG`.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((None, name.to_owned(), value.to_owned()));
        self
    }

    /// A variable for one worker, counted from 1: `ZHONGKONG_FAILPOINTS`.
    pub fn worker_env(mut self, worker: usize, name: &str, value: &str) -> Self {
        self.environment.push((Some(worker), name.to_owned(), value.to_owned()));
        self
    }

    /// Another secret in the file of one worker, counted from 1.
    pub fn worker_secret(mut self, worker: usize, secret: &str) -> Self {
        self.secrets.push((worker, secret.to_owned()));
        self
    }

    /// Options for the redis-server: `["--appendonly", "yes"]`.
    pub fn redis_options(mut self, options: &[&str]) -> Self {
        self.redis_options.extend(options.iter().map(ToString::to_string));
        self
    }

    /// Environment for the redis-server: [`crate::RedisClock::environment`].
    pub fn redis_environment(mut self, environment: Vec<(&'static str, PathBuf)>) -> Self {
        self.redis_environment.extend(environment);
        self
    }

    /// Starts it all, and waits until every worker is ready.
    pub async fn start(self) -> Cluster {
        let mut cluster = self.start_unready().await;
        for worker in cluster.workers_mut() {
            worker.wait_ready().await;
        }
        cluster
    }

    /// Starts it all, and does not wait for the workers: they may be meant to fail, or to stop.
    pub async fn start_unready(self) -> Cluster {
        let plans = self.workers;
        let mut cluster = self.prepare().await;
        for index in 1..=plans {
            cluster.start_worker(index);
        }
        cluster
    }

    /// Starts Redis and the upstream only; for the workers see [`Cluster::start_worker`].
    pub async fn prepare(mut self) -> Cluster {
        self.timings.check();
        let options: Vec<&str> = self.redis_options.iter().map(String::as_str).collect();
        let environment: Vec<_> =
            self.redis_environment.iter().map(|(name, path)| (*name, path.as_path())).collect();
        let redis = RedisServer::start_with(&options, &environment).await;
        let settings = Settings {
            life: self.timings.life,
            overlap: self.timings.overlap,
            accounts: vec![Account::new(APP_ID, SECRET)],
            ..self.settings.clone()
        };
        let simulator = Simulator::start(settings).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut namespaces = std::mem::take(&mut self.namespaces).into_iter();
        let mut plans = Vec::new();
        for index in 1..=self.workers {
            let ways = self.ways(namespaces.next(), &redis, &simulator).await;
            let plan = self.plan(index, &redis, &simulator, &directory, ways.as_ref());
            plans.push((plan, ways));
        }
        Cluster::new(redis, simulator, self.timings, plans, directory)
    }

    async fn ways(
        &self,
        namespace: Option<Namespace>,
        redis: &RedisServer,
        simulator: &Simulator,
    ) -> Option<Ways> {
        if !self.proxied {
            return None;
        }
        let address = namespace.as_ref().map_or(Ipv4Addr::LOCALHOST, Namespace::host);
        Some(Ways {
            redis: Proxy::at(address, redis.port()).await,
            upstream: Proxy::at(address, port_of(simulator)).await,
            namespace,
        })
    }

    fn plan(
        &self,
        index: usize,
        redis: &RedisServer,
        simulator: &Simulator,
        directory: &TempDir,
        ways: Option<&Ways>,
    ) -> Plan {
        let name = format!("worker-{index}");
        let secret = self.secrets.iter().rfind(|(of, _)| *of == index);
        let secret = secret.map_or(SECRET, |(_, secret)| secret);
        std::fs::write(directory.path().join(format!("{name}.secret")), secret).unwrap();
        let base_url =
            if self.own_callers { simulator.url_as(caller(index)) } else { simulator.url() };
        let (base_url, redis_url) = match ways {
            Some(Ways { redis, upstream, .. }) => {
                let simulator = format!("127.0.0.1:{}", port_of(simulator));
                let base_url = base_url.replace(&simulator, &upstream.address().to_string());
                (base_url, format!("redis://{}", redis.address()))
            }
            None => (base_url, redis.url()),
        };
        let port = free_port();
        let account = WorkerAccount { provider: &self.provider, base_url: &base_url };
        let configuration =
            configuration(&name, &redis_url, port, &self.timings, account) + &self.toml;
        let mut environment = vec![
            ("RUST_LOG".to_owned(), "info,zhongkong=debug".to_owned()),
            ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
            ("ZHONGKONG__LOG__FORMAT".to_owned(), "text".to_owned()),
        ];
        let own = self.environment.iter().filter(|(of, ..)| of.is_none_or(|of| of == index));
        // Of two values of one name, the later counts.
        environment.extend(own.map(|(_, name, value)| (name.clone(), value.clone())));
        let directory = directory.path().to_owned();
        let binary = self.binary.clone();
        let namespace = ways.and_then(|ways| ways.namespace.as_ref());
        let within = namespace.map(|namespace| namespace.name().to_owned());
        Plan { name, binary, directory, configuration, port, environment, within }
    }
}

/// The simulator's port on the loopback address.
fn port_of(simulator: &Simulator) -> u16 {
    let url = simulator.url();
    let (_, port) = url.rsplit_once(':').expect("a URL with a port");
    port.parse().unwrap()
}

/// The address from which a worker calls the upstream, if each has its own; counted from 1.
pub(crate) fn caller(index: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, u8::try_from(index).expect("less than 256 workers")).into()
}

/// The account as one worker knows it.
#[derive(Clone, Copy, Debug)]
pub struct WorkerAccount<'a> {
    /// `wechat` or `wechat-stable`.
    pub provider: &'a str,
    /// Where its upstream is.
    pub base_url: &'a str,
}

/// The configuration of the worker `name`: its secret is in the file `<name>.secret` beside it.
pub fn configuration(
    name: &str,
    redis_url: &str,
    port: u16,
    timings: &Timings,
    account: WorkerAccount<'_>,
) -> String {
    let WorkerAccount { provider, base_url } = account;
    let (overlap, hold) = (timings.overlap.as_millis(), timings.hold.as_millis());
    format!(
        "[redis]\nurl = {redis_url:?}\n\
         [worker]\nname = {name:?}\n\
         [http]\nlisten = \"127.0.0.1:{port}\"\n\
         {refresh}\
         [[credentials]]\nprovider = {provider:?}\napp_id = {APP_ID:?}\n\
         secret = {{ file = \"{name}.secret\" }}\nbase_url = {base_url:?}\n\
         overlap = \"{overlap}ms\"\nhold = \"{hold}ms\"\n",
        refresh = timings.to_toml(),
    )
}

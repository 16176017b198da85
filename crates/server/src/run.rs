//! A worker, from its start to its orderly end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
#[cfg(not(feature = "failpoints"))]
use zhongkong_coordinator::failpoints::Failpoints;
use zhongkong_coordinator::{Coordinator, CredentialSettings, Handle};
use zhongkong_core::clock::Clock;
use zhongkong_core::ports::Store;
use zhongkong_redis::{Access, Deployment, RedisStore, SentinelSettings};

use crate::api::{self, Api};
use crate::clock::BootClock;
use crate::config::{Config, Environment, Loaded};
use crate::notify::{Notifier, Receivers};
use crate::terminal::{Exit, complain};
use crate::{certificate, descriptions, logging, open_files, supervisor, wiring};

/// Bounds of the histograms, in seconds: from a local Redis to the longest request time-out that is of use.
const BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];
/// How often histograms are folded, so that a worker that nobody scrapes does not grow.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// How often it is said until when the certificate holds: at the start, too.
const A_DAY: Duration = Duration::from_hours(24);

/// Runs a worker until a signal ends it. A second signal ends it at once.
pub(crate) async fn run(
    path: Option<PathBuf>,
    loaded: Loaded,
    environment: Environment,
) -> anyhow::Result<Exit> {
    let Loaded { config, warnings, .. } = loaded;
    if let Err(error) = logging::start(&config.log, &environment) {
        complain(&format!("RUST_LOG: {error}; a level such as \"info\" would do"));
        return Ok(Exit::Configuration);
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let mut stop_signals = StopSignals::register()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("duration_seconds".to_owned()), &BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .context("metrics")?;
    descriptions::describe();

    let open_files = open_files::allow_all();
    let clock: Arc<dyn Clock> = Arc::new(BootClock);
    let store = Arc::new(wiring::store(&config.redis).asked_by(config.worker.name.to_string()));
    #[cfg(feature = "failpoints")]
    let failpoints = crate::failpoint::for_coordinator(&environment);
    #[cfg(not(feature = "failpoints"))]
    let failpoints = Failpoints::default();
    let credentials = credentials(&config, &clock, &environment)?;
    let name = config.worker.name.clone();
    let settings = wiring::coordinator(&config, name.clone(), failpoints);
    let identity = settings.worker.identity.clone();
    let shared: Arc<dyn Store> = Arc::<RedisStore>::clone(&store);
    #[cfg(feature = "failpoints")]
    let shared = crate::fenced::protocol(&environment, shared);
    let (coordinator, handle) =
        Coordinator::new(settings, &credentials, shared, Arc::clone(&clock));

    let listener = TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("http.listen: cannot listen on {}", config.http.listen))?;
    let listen = listener.local_addr()?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        worker = %name,
        credentials = credentials.len(),
        http = %listen,
        encrypted = config.http.tls.is_some(),
        "zhongkong runs"
    );
    let stop = CancellationToken::new();
    let receivers = Receivers::new(&config.notify)?;
    let mut notifier = Notifier::new(handle.clone(), Arc::clone(&store), identity.clone());
    notifier.replace(receivers).await;
    let api = Api::new(handle.clone(), store, &identity, metrics.clone(), &config);
    let mut tasks = JoinSet::new();
    tasks.spawn(coordinator.run(stop.clone().cancelled_owned()));
    let mut serving = JoinSet::new();
    serving.spawn(api::serve(listener, api.clone(), open_files));
    serving.spawn(upkeep(metrics));

    let mut daily = tokio::time::interval(A_DAY);
    supervisor::ready(credentials.len());
    let mut worker = Running { path, environment, config, clock, listen, handle, api, notifier };
    loop {
        tokio::select! {
            () = stop_signals.recv() => break,
            _ = hangup.recv() => worker.reload().await,
            _ = daily.tick() => worker.config.http.tls.iter().for_each(certificate::tell),
            Some(ended) = tasks.join_next() => {
                ended.context("the coordinator ended unasked")?;
                anyhow::bail!("the coordinator ended unasked");
            }
            Some(ended) = serving.join_next() => {
                ended.context("the HTTP server ended unasked")?;
                anyhow::bail!("the HTTP server ended unasked");
            }
            ended = worker.notifier.ended() => {
                ended.context("a teller of notifications ended unasked")?;
                anyhow::bail!("a teller of notifications ended unasked");
            }
        }
    }
    tracing::info!("stopping: finishing what is under way");
    supervisor::stopping();
    stop.cancel();
    tokio::select! {
        _ = tasks.join_next() => {}
        () = stop_signals.recv() => {
            tracing::warn!("a second signal: ending at once; another worker takes over what is under way");
            return Ok(Exit::Failed);
        }
    }
    worker.notifier.stop().await;
    serving.shutdown().await;
    tracing::info!("stopped");
    Ok(Exit::Done)
}

/// The signals that end a worker, registered before anything else so that none is missed.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn register() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What a reload changes.
struct Running {
    path: Option<PathBuf>,
    environment: Environment,
    config: Config,
    clock: Arc<dyn Clock>,
    listen: SocketAddr,
    handle: Handle,
    api: Api,
    notifier: Notifier,
}

impl Running {
    /// Reads credentials, bearer tokens, receivers and the certificate again. Whatever is wrong with them leaves the old ones in force.
    async fn reload(&mut self) {
        supervisor::reloading();
        let reloaded = self.try_reload().await.inspect_err(|error| {
            tracing::error!(
                error = format!("{error:#}"),
                "the configuration was not reloaded; the worker goes on with the old one"
            );
        });
        supervisor::reloaded(reloaded.ok().map(|()| self.config.credentials.len()));
    }

    async fn try_reload(&mut self) -> anyhow::Result<()> {
        let (path, environment) = (self.path.clone(), self.environment.clone());
        let load = move || Config::load(path.as_deref(), &environment);
        let Loaded { config, warnings, .. } = tokio::task::spawn_blocking(load).await??;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        if config.http.tokens.is_empty() && !self.listen.ip().to_canonical().is_loopback() {
            anyhow::bail!(
                "http.tokens: this worker listens on {}, and without tokens everybody could use it; \
                 removing them needs a restart",
                self.listen
            );
        }
        let changed = changed_for_the_next_start(&self.config, &config);
        if !changed.is_empty() {
            tracing::warn!(keys = changed.join(", "), "these take effect at the next start only");
        }
        let credentials = credentials(&config, &self.clock, &self.environment)?;
        let receivers = Receivers::new(&config.notify)?;
        self.api.replace_access(&config);
        config.http.tls.iter().for_each(certificate::tell);
        self.handle.reload(credentials).await?;
        self.notifier.replace(receivers).await;
        self.config = config;
        Ok(())
    }
}

/// The credentials of `config`, each with its way to its upstream.
fn credentials(
    config: &Config,
    clock: &Arc<dyn Clock>,
    environment: &Environment,
) -> anyhow::Result<Vec<CredentialSettings>> {
    let transport = wiring::transport(config, Arc::clone(clock)).context("upstream")?;
    #[cfg(feature = "failpoints")]
    let transport = crate::failpoint::for_upstream(environment, transport);
    #[cfg(not(feature = "failpoints"))]
    let _ = environment;
    wiring::credentials(config, &transport)
}

/// Where Redis is, without a login.
fn place(config: &Config) -> (Deployment, u16) {
    let mut deployment = config.redis.deployment.clone();
    if let Deployment::Sentinel(SentinelSettings { access, .. }) = &mut deployment {
        *access = Access::default();
    }
    (deployment, config.redis.access.database)
}

/// How Sentinels let a worker in, if there are any.
fn watch(config: &Config) -> Access {
    match &config.redis.deployment {
        Deployment::Sentinel(SentinelSettings { access, .. }) => access.clone(),
        Deployment::Server(_) | Deployment::Cluster(_) => Access::default(),
    }
}

/// The keys that a reload does not change, and that are other ones now.
fn changed_for_the_next_start(old: &Config, new: &Config) -> Vec<&'static str> {
    let (was, is) = (&old.redis.access, &new.redis.access);
    let (former, later) = (watch(old), watch(new));
    let secret = |access: &Access| {
        access.password.as_ref().map(|password| password.expose_secret().to_owned())
    };
    [
        ("redis.url", place(old) != place(new)),
        ("redis.username", was.username != is.username),
        ("redis.password", secret(was) != secret(is)),
        ("redis.ca, redis.client_cert or redis.client_key", was.tls != is.tls),
        ("redis.sentinel_username", former.username != later.username),
        ("redis.sentinel_password", secret(&former) != secret(&later)),
        ("redis.prefix", old.redis.prefix != new.redis.prefix),
        ("redis.replicas", old.redis.replicas != new.redis.replicas),
        ("log.level", old.log.filter != new.log.filter),
        ("log.format", old.log.format != new.log.format),
        ("http.listen", old.http.listen != new.http.listen),
        ("http.tls_cert and http.tls_key", old.http.tls.is_some() != new.http.tls.is_some()),
        ("upstream.max_concurrent", old.upstream.max_concurrent != new.upstream.max_concurrent),
        ("refresh.human_poll", old.refresh.human_poll != new.refresh.human_poll),
        ("refresh.report_budget", old.refresh.report_budget != new.refresh.report_budget),
        ("refresh.probe_interval", old.refresh.probe_interval != new.refresh.probe_interval),
        ("refresh.reconcile_rate", old.refresh.reconcile_rate != new.refresh.reconcile_rate),
    ]
    .into_iter()
    .filter_map(|(key, changed)| changed.then_some(key))
    .collect()
}

async fn upkeep(metrics: PrometheusHandle) {
    let mut tick = tokio::time::interval(UPKEEP_EVERY);
    loop {
        tick.tick().await;
        metrics.run_upkeep();
    }
}

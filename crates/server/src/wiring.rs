//! Builds a worker's parts from its configuration.

use std::sync::Arc;

use anyhow::Context;
use secrecy::ExposeSecret;
use zhongkong_coordinator::failpoints::Failpoints;
use zhongkong_coordinator::{CoordinatorSettings, CredentialSettings, TicketSettings};
use zhongkong_core::chance::Chance;
use zhongkong_core::clock::Clock;
use zhongkong_core::credential::{Worker, WorkerName};
use zhongkong_redis::{Keys, RedisSettings, RedisStore, Replicas};
use zhongkong_upstream::{Account, Secret, Transport, TransportSettings, WeChat};

use crate::config::{self, Config, RedisConfig, SecretSource};

/// With more credentials than this, metrics do not name them.
const NAMED_CREDENTIALS_MAX: usize = 1_000;

/// The generator of this process, seeded by the system.
#[derive(Clone, Copy, Debug)]
struct Dice;

impl Chance for Dice {
    fn draw(&self) -> u64 {
        rand::random()
    }
}

/// Where jitter comes from.
pub(crate) fn chance() -> Arc<dyn Chance> {
    Arc::new(Dice)
}

/// The store. Nothing is connected yet.
pub(crate) fn store(config: &RedisConfig) -> RedisStore {
    let settings =
        RedisSettings { deployment: config.deployment.clone(), access: config.access.clone() };
    let replicas = match config.replicas {
        config::Replicas::Auto => Replicas::Auto,
        config::Replicas::Number(number) => Replicas::Number(number),
    };
    RedisStore::new(&settings, Keys::new(config.prefix.clone()), replicas)
}

/// The one way to all upstreams.
pub(crate) fn transport(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Transport> {
    let settings = TransportSettings {
        proxy: config.upstream.proxy.clone(),
        request_timeout: config.refresh.request_timeout,
    };
    Ok(Transport::new(&settings, clock)?)
}

/// The credentials, each with its way to its upstream.
pub(crate) fn credentials(
    config: &Config,
    transport: &Transport,
) -> anyhow::Result<Vec<CredentialSettings>> {
    let credential = |credential: &config::CredentialConfig| {
        let upstream = Arc::new(upstream(credential, transport)?);
        let tickets = (!credential.tickets.is_empty()).then(|| TicketSettings {
            kinds: credential.tickets.clone(),
            upstream: Arc::<WeChat>::clone(&upstream),
        });
        Ok(CredentialSettings {
            id: credential.id.clone(),
            app_id: credential.app_id.clone(),
            provider: credential.provider.name(),
            host: credential.base_url.host_str().unwrap_or_default().to_owned(),
            nature: credential.provider.nature(),
            timing: credential.timing,
            upstream,
            tickets,
            publish: credential.publish.iter().map(|p| (p.kind, p.layout.clone())).collect(),
        })
    };
    config.credentials.iter().map(credential).collect()
}

/// The upstream of one credential.
pub(crate) fn upstream(
    credential: &config::CredentialConfig,
    transport: &Transport,
) -> anyhow::Result<WeChat> {
    let secret = match &credential.secret {
        SecretSource::File(path) => Secret::from_file(path),
        SecretSource::Environment { value, .. } | SecretSource::Plain(value) => {
            Secret::fixed(value.expose_secret())
        }
    };
    let account = Account {
        provider: credential.provider,
        app_id: credential.app_id.clone(),
        base_url: credential.base_url.clone(),
        secret: secret.with_context(|| format!("credential {}", credential.id))?,
    };
    Ok(WeChat::new(account, transport.clone()))
}

/// What the coordinator is and may do, as the worker `name`.
pub(crate) fn coordinator(
    config: &Config,
    name: WorkerName,
    failpoints: Failpoints,
) -> CoordinatorSettings {
    CoordinatorSettings {
        worker: Worker::new(name, rand::random()),
        max_concurrent: config.upstream.max_concurrent,
        probe_interval: Some(config.refresh.probe_interval).filter(|every| !every.is_zero()),
        report_budget: config.refresh.report_budget,
        spacing: config.refresh.spacing,
        reconcile_rate: config.refresh.reconcile_rate,
        human_poll: config.refresh.human_poll,
        name_credentials: config.credentials.len() <= NAMED_CREDENTIALS_MAX,
        chance: chance(),
        failpoints,
    }
}

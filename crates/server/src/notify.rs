//! Notifications: for each receiver a task looks what a person must hear of, and tells it once for the whole cluster.
//!
//! What is told, when and how, is decided in `zhongkong-notify`; what was told is in Redis. So whichever worker is the first
//! to claim a message sends it, and any other goes on where it died: at least once.

mod teller;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use zhongkong_coordinator::Handle;
use zhongkong_core::codes::Text;
use zhongkong_notify::{Again, Client, Receiver, Refused};
use zhongkong_redis::RedisStore;

use self::teller::Teller;
use crate::config::{NotifyConfig, SecretError, SecretSource};

/// How long a message under way may take when the worker stops.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// And when other receivers take the place of the old ones.
const REPLACE_GRACE: Duration = Duration::from_secs(7);

/// Those who tell, of one worker.
#[derive(Debug)]
pub(crate) struct Notifier {
    handle: Handle,
    store: Arc<RedisStore>,
    identity: String,
    tellers: JoinSet<()>,
    stop: CancellationToken,
}

/// Receivers, each with its way there.
#[derive(Debug)]
pub(crate) struct Receivers(Vec<(NotifyConfig, Client)>);

impl Receivers {
    /// The receivers of a configuration.
    pub(crate) fn new(configured: &[NotifyConfig]) -> anyhow::Result<Self> {
        let receiver = |config: &NotifyConfig| {
            let client = Client::new(config.proxy.as_ref());
            let client = client.with_context(|| format!("notify {}", config.name))?;
            Ok((config.clone(), client))
        };
        configured.iter().map(receiver).collect::<anyhow::Result<_>>().map(Self)
    }
}

impl Notifier {
    /// Nobody is told anything yet.
    pub(crate) fn new(handle: Handle, store: Arc<RedisStore>, identity: String) -> Self {
        let stop = CancellationToken::new();
        Self { handle, store, identity, tellers: JoinSet::new(), stop }
    }

    /// Tells these from now on, and nobody else.
    pub(crate) async fn replace(&mut self, receivers: Receivers) {
        self.end(REPLACE_GRACE).await;
        self.stop = CancellationToken::new();
        for (config, client) in receivers.0 {
            let teller = Teller::new(
                config,
                client,
                self.handle.clone(),
                Arc::clone(&self.store),
                self.identity.clone(),
            );
            self.tellers.spawn(teller.run(self.stop.clone()));
        }
    }

    /// Ends if a teller ended unasked.
    pub(crate) async fn ended(&mut self) -> Result<(), JoinError> {
        match self.tellers.join_next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Ends all telling. What is not told yet, another worker tells.
    pub(crate) async fn stop(mut self) {
        self.end(STOP_GRACE).await;
    }

    async fn end(&mut self, grace: Duration) {
        self.stop.cancel();
        let all = async { while self.tellers.join_next().await.is_some() {} };
        // What takes longer is broken off; its claim ends by itself.
        drop(tokio::time::timeout(grace, all).await);
        self.tellers.shutdown().await;
    }
}

/// The receiver with its secrets as they are now.
pub(crate) async fn receiver(config: &NotifyConfig) -> Result<Receiver, Refused> {
    let url = read(config.url.clone()).await?;
    let secret = match config.secret.clone() {
        Some(source) => Some(read(source).await?),
        None => None,
    };
    Ok(Receiver { kind: config.kind, url, secret, language: config.language })
}

async fn read(source: SecretSource) -> Result<SecretString, Refused> {
    let read = tokio::task::spawn_blocking(move || source.read()).await;
    let why = match read {
        Ok(Ok(secret)) => return Ok(secret),
        Ok(Err(error)) => with_its_cause(&error),
        Err(_) => "the secret could not be read".to_owned(),
    };
    Err(Refused { why, advice: NO_SECRET, again: Again::WhenMended })
}

fn with_its_cause(error: &SecretError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

const NO_SECRET: Text = Text {
    en: "put the receiver's url and secret where the configuration says that they are",
    zh: "请按配置所述的位置提供该接收方的 url 与 secret",
};

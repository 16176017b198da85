//! One look: what every service does, and all that it needs of zhongkong.

use std::time::Duration;

use anyhow::{Context, anyhow};
use redis::aio::MultiplexedConnection;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::counts::{Counts, Found};
use crate::place::Place;
use crate::upstream::Upstream;

/// The longest wait for a connection and for an answer of Redis, together.
const REDIS_WITHIN: Duration = Duration::from_secs(2);
/// The longest wait for the upstream.
const UPSTREAM_WITHIN: Duration = Duration::from_secs(2);
/// How the upstream says that a token is not, or no longer, one.
const DEAD: [i64; 3] = [40001, 40014, 42001];

/// The looks for one credential's token. Has no derived `Debug`: its connection may hold a password.
pub(crate) struct Look {
    id: String,
    key: String,
    place: Place,
    upstream: Upstream,
    connection: Option<MultiplexedConnection>,
    counts: Counts,
}

impl Look {
    pub(crate) fn new(id: &str, prefix: &str, place: Place, upstream: Upstream) -> Self {
        let key = format!("{prefix}:{{{id}}}:access_token");
        let counts = Counts::default();
        Self { id: id.to_owned(), key, place, upstream, connection: None, counts }
    }

    /// Looks once, and says what is new.
    pub(crate) async fn look(&mut self) -> Option<String> {
        let found = self.use_token().await;
        let news = self.counts.add(&found)?;
        Some(format!("{}: {news}", self.id))
    }

    /// The counts so far, on a line.
    pub(crate) fn counted(&self) -> String {
        self.counts.line(&self.id)
    }

    async fn use_token(&mut self) -> Found {
        let token = match timeout(REDIS_WITHIN, self.get()).await {
            Ok(Ok(Some(token))) => token,
            Ok(Ok(None)) => return Found::Absent,
            Ok(Err(error)) => return unanswered("Redis", &error),
            Err(_) => return unanswered("Redis", &anyhow!("nothing in {REDIS_WITHIN:?}")),
        };
        let fingerprint = hex::encode(&Sha256::digest(&token)[..8]);
        match timeout(UPSTREAM_WITHIN, self.upstream.call(&token)).await {
            Ok(Ok(0)) => Found::Good { fingerprint },
            Ok(Ok(code)) if DEAD.contains(&code) => Found::Dead { fingerprint, code },
            Ok(Ok(code)) => unanswered("the upstream", &anyhow!("it answers {code}")),
            Ok(Err(error)) => unanswered("the upstream", &error),
            Err(_) => unanswered("the upstream", &anyhow!("nothing in {UPSTREAM_WITHIN:?}")),
        }
    }

    /// A connection that failed, or was given up, is made anew: Redis may be elsewhere by then.
    async fn get(&mut self) -> anyhow::Result<Option<String>> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.place.connect().await?,
        };
        let token = redis::cmd("GET").arg(&self.key).query_async(&mut connection).await;
        let token = token.context("GET failed")?;
        self.connection = Some(connection);
        Ok(token)
    }
}

fn unanswered(by: &'static str, error: &anyhow::Error) -> Found {
    Found::Unanswered { by, why: format!("{error:#}") }
}

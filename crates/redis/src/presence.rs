//! Who is there: workers that live, the primaries with their epochs, and replicas.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use redis::RedisError;
use tokio::time::timeout;
use zhongkong_core::credential::Worker;
use zhongkong_core::ports::{Beat, StoreError};

use crate::facts;
use crate::link::settled;
use crate::refusal::{explain, is_out_of_memory};
use crate::reply::strange;
use crate::store::{RedisStore, Replicas};

/// A worker that has not beaten for this long is dead: three of its beats.
const BEAT_VALID_MS: u64 = 6_000;
/// Where memory is full, a command that may take more is refused unless a script that says so sends it.
const BEAT_IN_FULL: &str =
    "#!lua flags=allow-oom\nreturn redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])";
/// A primary that hangs must not hold up the word that this worker lives.
const INFO_WITHIN: Duration = Duration::from_secs(1);

/// What [`RedisStore::look_around`] found.
#[derive(Debug, Default)]
struct Around {
    epochs: BTreeSet<String>,
    missing: Vec<String>,
}

impl RedisStore {
    /// Says that `worker` lives, and looks who else is there.
    pub(crate) async fn say_that_it_lives(&self, worker: &Worker) -> Result<Beat, StoreError> {
        if let Some(cluster) = self.nodes.cluster() {
            cluster.look().await?;
        }
        let Around { epochs, missing } = self.look_around().await?;
        let now_ms = self.now_ms("beat").await?;
        let workers = self.keys.workers();
        let mut pipe = redis::pipe();
        pipe.cmd("ZADD").arg(&workers).arg(now_ms).arg(&worker.identity);
        let oldest_ms = now_ms.saturating_sub(BEAT_VALID_MS);
        pipe.cmd("ZREMRANGEBYSCORE").arg(&workers).arg("-inf").arg(oldest_ms);
        // A beat from the future is from before Redis' clock went back.
        let latest_ms = format!("({}", now_ms + BEAT_VALID_MS);
        pipe.cmd("ZREMRANGEBYSCORE").arg(&workers).arg(latest_ms).arg("+inf");
        pipe.cmd("ZRANGE").arg(&workers).arg(0).arg(-1);
        let mut results = self.nodes.send("beat", &workers, &mut pipe).await?;
        let living = settled(results.pop())?;
        let mut results = results.into_iter();
        match results.next() {
            Some(Err(error)) if is_out_of_memory(&error) => {
                self.say_full(Some(&error));
                let mut beat = redis::cmd("EVAL");
                beat.arg(BEAT_IN_FULL).arg(1).arg(&workers).arg(now_ms).arg(&worker.identity);
                self.nodes.ask("beat", &workers, beat).await?;
            }
            added => {
                settled(added)?;
                self.say_full(None);
            }
        }
        for removed in results {
            settled(Some(removed))?;
        }
        let mut living: Vec<String> =
            redis::from_redis_value(living).map_err(|_| strange("workers that are no list"))?;
        living.sort();
        Ok(Beat { living, epochs, missing })
    }

    /// The identities of the workers that live.
    pub async fn living(&self) -> Result<Vec<String>, StoreError> {
        let oldest_ms = self.now_ms("living").await?.saturating_sub(BEAT_VALID_MS);
        let mut list = redis::cmd("ZRANGEBYSCORE");
        list.arg(self.keys.workers()).arg(oldest_ms).arg("+inf");
        let living = self.nodes.ask("living", &self.keys.workers(), list).await?;
        redis::from_redis_value(living).map_err(|_| strange("workers that are no list"))
    }

    /// How many replicas must acknowledge a claim now.
    pub(crate) async fn required(&self) -> Result<u32, StoreError> {
        if let Replicas::Number(number) = self.replicas {
            return Ok(number);
        }
        if !self.highest_known.load(Ordering::Acquire) {
            self.look_around().await?;
        }
        Ok(self.highest.load(Ordering::Acquire))
    }

    /// Looks which Redis this is, and how many replicas there are and were.
    ///
    /// The highest number of replicas is kept in Redis until an operator deletes it: a stopped replica drops out of the
    /// count of the connected ones, and must be missed all the same. Of a cluster it is the highest that *every* primary
    /// had at once: a primary that has more, for a while or for ever, makes no other one wait for as many.
    async fn look_around(&self) -> Result<Around, StoreError> {
        if let Some(cluster) = self.nodes.cluster() {
            cluster.look_again().await?;
        }
        let nodes = self.nodes.primaries().borrow().clone();
        let mut get = redis::cmd("GET");
        get.arg(self.keys.replicas());
        let key = self.keys.replicas();
        let (infos, seen) = tokio::join!(
            join_all(nodes.iter().map(
                async |node| match timeout(INFO_WITHIN, node.info()).await {
                    Ok(info) => info,
                    Err(_) => Err(StoreError::Unavailable("it does not answer".to_owned())),
                }
            )),
            self.nodes.ask("replicas", &key, get)
        );
        let (mut around, mut connected, mut blind) = (Around::default(), Vec::new(), false);
        for (node, info) in nodes.iter().zip(infos) {
            match info {
                Ok(info) => {
                    blind |= info.is_empty();
                    connected.push(facts::connected_replicas(&info).unwrap_or(0));
                }
                Err(error) => around.missing.push(format!("{}: {error}", node.name)),
            }
            around.epochs.extend(node.last_epoch());
        }
        match seen {
            Ok(seen) => {
                let seen: Option<u32> = redis::from_redis_value(seen).unwrap_or(None);
                self.highest.store(seen.unwrap_or(0), Ordering::Release);
            }
            // What a primary that is away remembers, the others' units do without.
            Err(_) if self.nodes.cluster().is_some() => {}
            Err(error) => return Err(error),
        }
        self.say_blind(blind);
        self.highest_known.store(true, Ordering::Release);
        if let Some(cluster) = self.nodes.cluster() {
            around
                .missing
                .extend(cluster.uncovered().map(|slots| format!("slots {slots}: no primary")));
        }
        let least = connected.into_iter().min().filter(|_| around.missing.is_empty());
        // A number that could not be kept is seen again at the next beat.
        self.remember(least.unwrap_or(0)).await.ok();
        Ok(around)
    }

    /// Says once that `INFO` is refused.
    fn say_blind(&self, blind: bool) {
        if self.blind.is_news(blind) && blind {
            tracing::warn!(
                "redis refuses INFO, as some managed ones do: the epoch rule is off, so that writes which a failover \
                 loses go unnoticed, and replicas are not waited for. Allow INFO to the worker's user if you can"
            );
        }
    }

    /// Says once that memory is full, and once that it no longer is.
    fn say_full(&self, refusal: Option<&RedisError>) {
        if !self.full.is_news(refusal.is_some()) {
            return;
        }
        if let Some(error) = refusal {
            tracing::error!(
                error = explain(error),
                "redis has no memory left. Tokens are refreshed all the same, in place of the old ones; reports of \
                 readers and new credentials may be refused"
            );
        } else {
            tracing::info!("redis has memory again");
        }
    }

    /// Remembers a number of connected replicas above the highest so far.
    pub(crate) async fn remember(&self, connected: u32) -> Result<(), StoreError> {
        let news = self.highest.fetch_max(connected, Ordering::AcqRel) < connected;
        if news && self.replicas == Replicas::Auto {
            let mut keep = redis::cmd("SET");
            keep.arg(self.keys.replicas()).arg(connected);
            self.nodes.ask("replicas", &self.keys.replicas(), keep).await?;
        }
        Ok(())
    }
}

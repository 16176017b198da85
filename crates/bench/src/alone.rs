//! Every worker for itself: what libraries do where nobody coordinates, a stand-in as small as it can be.
//!
//! Each of so many processes looks for the shared key whenever it needs the token. Where it is missing or expired, the
//! process fetches one and stores it with its life. Inside of a process nothing is fetched twice at once; between
//! processes nothing is agreed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;
use tokio::time::sleep;
use zhongkong_testkit::{RedisServer, http};

use crate::redis_side::{ask, connect, info};

/// How often a process needs each token, on average.
const NEEDED_EVERY: Duration = Duration::from_millis(50);

/// So many processes, as tasks of this one. They end when it is dropped.
#[derive(Debug)]
pub(crate) struct Alone {
    // Dropped first: they use the Redis.
    _processes: JoinSet<()>,
    calls: Arc<AtomicU64>,
    redis: RedisServer,
}

/// What all of them know.
#[derive(Clone, Debug)]
struct Knowledge {
    upstream: String,
    accounts: Arc<[String]>,
    life: Duration,
    calls: Arc<AtomicU64>,
}

impl Alone {
    /// Starts `processes`, with a Redis of their own.
    pub(crate) async fn start(
        processes: usize,
        upstream: String,
        accounts: Vec<String>,
        life: Duration,
    ) -> Self {
        let redis = RedisServer::start().await;
        let calls = Arc::new(AtomicU64::new(0));
        let accounts = accounts.into();
        let knowledge = Knowledge { upstream, accounts, life, calls: Arc::clone(&calls) };
        let mut running = JoinSet::new();
        for _ in 0..processes {
            running.spawn(process(knowledge.clone(), connect(&redis).await));
        }
        Self { _processes: running, calls, redis }
    }

    /// Calls upstream so far, and tokens whose life ended, each of which asks for one refresh.
    pub(crate) async fn calls_and_ends(&self) -> (u64, u64) {
        (self.calls.load(Ordering::Relaxed), info(&self.redis, "stats", "expired_keys").await)
    }

    /// Whether every account has a token.
    pub(crate) async fn is_complete(&self, accounts: usize) -> bool {
        ask::<usize>(&self.redis, &["DBSIZE"]).await == accounts
    }
}

async fn process(knowledge: Knowledge, mut redis: MultiplexedConnection) {
    let fetching = Arc::new(Mutex::new(HashSet::new()));
    let mut fetches = JoinSet::new();
    loop {
        // From nothing to twice the average, so that processes do not march in step.
        sleep(NEEDED_EVERY.mul_f64(rand::random::<f64>() * 2.0)).await;
        while fetches.try_join_next().is_some() {}
        let mut look = redis::cmd("MGET");
        look.arg(&*knowledge.accounts);
        let found: Vec<Option<String>> = look.query_async(&mut redis).await.expect("redis answers");
        for (account, _) in knowledge.accounts.iter().zip(found).filter(|(_, t)| t.is_none()) {
            if lock(&fetching).insert(account.clone()) {
                let (knowledge, redis) = (knowledge.clone(), redis.clone());
                let (account, fetching) = (account.clone(), Arc::clone(&fetching));
                fetches.spawn(async move {
                    fetch(&knowledge, &account, redis).await;
                    lock(&fetching).remove(&account);
                });
            }
        }
    }
}

async fn fetch(knowledge: &Knowledge, account: &str, mut redis: MultiplexedConnection) {
    let Knowledge { upstream, life, calls, .. } = knowledge;
    calls.fetch_add(1, Ordering::Relaxed);
    let token = fetch_token(upstream, account).await;
    let mut set = redis::cmd("SET");
    set.arg(account).arg(token).arg("PX").arg(life.as_millis());
    let () = set.query_async(&mut redis).await.expect("redis answers");
}

/// One call of the token endpoint at `upstream`, on a connection of its own.
pub(crate) async fn fetch_token(upstream: &str, account: &str) -> String {
    let query = format!("grant_type=client_credential&appid={account}&secret=any");
    let answer = http::get(&format!("{upstream}/cgi-bin/token?{query}")).await;
    let body = answer.expect("the upstream answers").json();
    body["access_token"].as_str().expect("a token").to_owned()
}

fn lock(fetching: &Mutex<HashSet<String>>) -> std::sync::MutexGuard<'_, HashSet<String>> {
    fetching.lock().unwrap_or_else(PoisonError::into_inner)
}

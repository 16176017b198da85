//! What Redis says that it did, and how fast it is when it does nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, Script};
use tokio::task::JoinSet;
use tokio::time::Instant;
use zhongkong_testkit::RedisServer;

/// Longer than any answer takes, however much else this machine has to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Commands that clients sent and scripts called, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commands(BTreeMap<String, Calls>);

#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    calls: u64,
    micros: u64,
}

impl Commands {
    pub(crate) async fn of(redis: &RedisServer) -> Self {
        let info: String = ask(redis, &["INFO", "commandstats"]).await;
        let counted = info.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let number = |key: &str| {
                let (_, value) = rest
                    .split(',')
                    .find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == key))?;
                value.parse().ok()
            };
            Some((name.to_owned(), Calls { calls: number("calls")?, micros: number("usec")? }))
        });
        Self(counted.collect())
    }

    /// What was called since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let since = self.0.iter().map(|(name, now)| {
            let before = earlier.0.get(name).copied().unwrap_or_default();
            let calls =
                Calls { calls: now.calls - before.calls, micros: now.micros - before.micros };
            (name.clone(), calls)
        });
        Self(since.collect())
    }

    /// Calls of these commands.
    pub(crate) fn calls(&self, names: &[&str]) -> u64 {
        names.iter().filter_map(|name| self.0.get(*name)).map(|calls| calls.calls).sum()
    }

    /// Calls of scripts.
    pub(crate) fn scripts(&self) -> u64 {
        self.calls(&["evalsha", "eval"])
    }

    /// How long Redis takes for a script, in microseconds.
    pub(crate) fn micros_a_script(&self) -> f64 {
        let scripts = ["evalsha", "eval"].iter().filter_map(|name| self.0.get(*name));
        let micros: u64 = scripts.map(|calls| calls.micros).sum();
        micros as f64 / self.scripts() as f64
    }

    /// Calls of all commands but this benchmark's own looks.
    pub(crate) fn all(&self) -> u64 {
        let own = |name: &str| name == "info" || name.starts_with("config");
        self.0.iter().filter(|(name, _)| !own(name)).map(|(_, calls)| calls.calls).sum()
    }
}

/// A connection on which an answer may take its time.
pub(crate) async fn connect(redis: &RedisServer) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let client = redis::Client::open(redis.url()).expect("a URL");
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    connection.await.expect("redis listens")
}

/// One command, its answer read as `T`.
pub(crate) async fn ask<T: FromRedisValue>(redis: &RedisServer, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connect(redis).await).await.expect("redis answers")
}

/// One number of `INFO`.
pub(crate) async fn info(redis: &RedisServer, section: &str, name: &str) -> u64 {
    let info: String = ask(redis, &["INFO", section]).await;
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// `SET`s a second over one connection, with so many under way.
pub(crate) async fn sets_a_second(redis: &RedisServer, at_once: usize, lasting: Duration) -> f64 {
    rate(redis, at_once, lasting, |key| {
        let mut set = redis::cmd("SET");
        set.arg(key).arg("t".repeat(136)).arg("PX").arg(60_000);
        set
    })
    .await
}

/// Calls a second of a script that only sets a key, over one connection, with so many under way.
pub(crate) async fn scripts_a_second(
    redis: &RedisServer,
    at_once: usize,
    lasting: Duration,
) -> f64 {
    let script = Script::new("return redis.call('SET', KEYS[1], ARGV[1], 'PX', 60000)");
    let sha = script.get_hash().to_owned();
    let mut connection = connect(redis).await;
    let loaded = script.load_async(&mut connection).await;
    assert_eq!(loaded.expect("redis answers"), sha);
    rate(redis, at_once, lasting, move |key| {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&sha).arg(1).arg(key).arg("t".repeat(136));
        call
    })
    .await
}

async fn rate(
    redis: &RedisServer,
    at_once: usize,
    lasting: Duration,
    command: impl Fn(String) -> redis::Cmd + Clone + Send + 'static,
) -> f64 {
    let connection = connect(redis).await;
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..at_once {
        let (mut connection, command) = (connection.clone(), command.clone());
        callers.spawn(async move {
            let mut calls = 0_u64;
            while began.elapsed() < lasting {
                let key = format!("bench:{caller}:{}", calls % 1_000);
                let () = command(key).query_async(&mut connection).await.expect("redis answers");
                calls += 1;
            }
            calls
        });
    }
    let calls: u64 = callers.join_all().await.into_iter().sum();
    calls as f64 / began.elapsed().as_secs_f64()
}

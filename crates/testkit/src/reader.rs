//! A service that reads the key as all services do, and asks the truth about every token it finds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use zhongkong_simulator::Handle;

use crate::cluster::APP_ID;

/// How many bad reads are told in full.
const BAD_MAX: usize = 20;
/// A Redis that does not answer for so long is an error that the reader counts.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What a reader found, from [`Reader::begin_counting`] on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answers of Redis.
    pub reads: u64,
    /// The key was not there.
    pub absent: u64,
    /// The token was dead when it was asked for, or was still in the key after its death was seen.
    pub dead: u64,
    /// The token died after it was asked for, and the key already had another when that was seen.
    pub raced: u64,
    /// Redis did not answer.
    pub redis_errors: u64,
    /// The first that were not good.
    pub bad: Vec<BadRead>,
}

/// A read that was not good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRead {
    /// When, by the simulator's clock: the one of its journal.
    pub at_ms: u64,
    /// What was found.
    pub finding: Finding,
    /// The token's fingerprint; none if there was none, or if the upstream never issued it.
    pub fingerprint: Option<String>,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A token that works.
    Good,
    /// No token.
    Absent,
    /// A token that does not work.
    Dead,
    /// A token that stopped working on its way to the reader, while its successor was published.
    Raced,
    /// No answer.
    RedisError,
}

impl Counts {
    /// Whether every read found a token that works.
    pub fn are_good(&self) -> bool {
        self.reads > 0 && self.absent + self.dead + self.raced + self.redis_errors == 0
    }

    fn add(&mut self, read: BadRead) {
        self.reads += u64::from(read.finding != Finding::RedisError);
        match read.finding {
            Finding::Good => return,
            Finding::Absent => self.absent += 1,
            Finding::Dead => self.dead += 1,
            Finding::Raced => self.raced += 1,
            Finding::RedisError => self.redis_errors += 1,
        }
        if self.bad.len() < BAD_MAX {
            self.bad.push(read);
        }
    }
}

/// A reader at work. It stops when it is dropped.
#[derive(Debug)]
pub struct Reader {
    counts: Arc<Mutex<Option<Counts>>>,
    task: JoinSet<()>,
}

impl Reader {
    /// Starts to read `key`, and does not count yet.
    pub fn start(redis_url: &str, simulator: Handle, key: &str, every: Duration) -> Self {
        let counts = Arc::new(Mutex::new(None));
        let client = redis::Client::open(redis_url).unwrap();
        let eyes = Eyes { client, simulator, key: key.to_owned(), connection: None };
        let mut task = JoinSet::new();
        task.spawn(eyes.watch(every, Arc::clone(&counts)));
        Self { counts, task }
    }

    /// Counts from now on, and from zero: call it in the settled state.
    pub fn begin_counting(&self) {
        *lock(&self.counts) = Some(Counts::default());
    }

    /// The counts so far; it goes on reading.
    pub fn counts(&mut self) -> Counts {
        if let Some(ended) = self.task.try_join_next() {
            panic!("the reader ended: {ended:?}");
        }
        lock(&self.counts).clone().unwrap_or_default()
    }

    /// Stops reading.
    pub async fn stop(mut self) -> Counts {
        let counts = self.counts();
        self.task.shutdown().await;
        counts
    }
}

fn lock(counts: &Mutex<Option<Counts>>) -> std::sync::MutexGuard<'_, Option<Counts>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The task's own: a connection, made again when it breaks, and the truth.
struct Eyes {
    client: redis::Client,
    simulator: Handle,
    key: String,
    connection: Option<MultiplexedConnection>,
}

impl Eyes {
    async fn watch(mut self, every: Duration, counts: Arc<Mutex<Option<Counts>>>) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let counted = lock(&counts).is_some();
            let read = self.look().await;
            // A read that began before the counting did may show what was before the settled state.
            if counted && let Some(counts) = &mut *lock(&counts) {
                counts.add(read);
            }
        }
    }

    /// A read is suspicious if the token is dead after it. That alone would count a token that died
    /// on the way from Redis to here, which no reader can help. Whether it was dead *before* the
    /// GET was sent is decided by the simulator's record, so a dead token cannot hide behind its
    /// successor; only one that died in between, and was replaced by then, is `Raced`.
    async fn look(&mut self) -> BadRead {
        let at_ms = self.simulator.now_ms();
        let (finding, fingerprint) = match self.get().await {
            Err(_) => (Finding::RedisError, None),
            Ok(None) => (Finding::Absent, None),
            Ok(Some(value)) => {
                let token = self.simulator.token(&value).filter(|token| token.app_id == APP_ID);
                let finding = match &token {
                    Some(_) if self.simulator.is_alive(APP_ID, &value) => Finding::Good,
                    Some(token) if token.is_alive(at_ms) => match self.get().await {
                        Ok(Some(now)) if now != value => Finding::Raced,
                        _ => Finding::Dead,
                    },
                    _ => Finding::Dead,
                };
                (finding, token.map(|token| token.fingerprint))
            }
        };
        BadRead { at_ms, finding, fingerprint }
    }

    async fn get(&mut self) -> redis::RedisResult<Option<String>> {
        let mut connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_WITHIN));
            self.client.get_multiplexed_async_connection_with_config(&config).await?
        };
        let found = redis::cmd("GET").arg(&self.key).query_async(&mut connection).await?;
        self.connection = Some(connection);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use zhongkong_simulator::{Account, Settings, Simulator};

    use super::*;
    use crate::cluster::TOKEN_KEY;
    use crate::{PATIENCE, RedisServer, SECRET, wait_until};

    struct Scene {
        redis: RedisServer,
        simulator: Simulator,
        reader: Reader,
    }

    impl Scene {
        async fn new() -> Self {
            let redis = RedisServer::start().await;
            let accounts = vec![Account::new(APP_ID, SECRET)];
            let settings = Settings { accounts, ..Settings::default() };
            let simulator = Simulator::start(settings).await.unwrap();
            let every = Duration::from_millis(5);
            let reader = Reader::start(&redis.url(), simulator.handle(), TOKEN_KEY, every);
            Self { redis, simulator, reader }
        }

        /// Another token is issued and published.
        async fn refresh(&self) {
            let pool = zhongkong_simulator::Pool::Legacy;
            let token = self.simulator.foreign_refresh(APP_ID, pool).unwrap();
            let () = self.redis.command(&["SET", TOKEN_KEY, &token.value]).await;
        }

        async fn wait_for(&mut self, wanted: impl Fn(&Counts) -> bool) -> Counts {
            let reader = &mut self.reader;
            wait_until("the counts", PATIENCE, async || wanted(&reader.counts())).await;
            self.reader.counts()
        }
    }

    #[tokio::test]
    async fn good_reads_are_counted_from_the_settled_state() {
        let mut scene = Scene::new().await;
        scene.refresh().await;
        assert_eq!(scene.reader.counts(), Counts::default());
        scene.reader.begin_counting();
        let counts = scene.wait_for(|counts| counts.reads > 5).await;
        assert!(counts.are_good(), "{counts:?}");
    }

    #[tokio::test]
    async fn dead_absent_and_unknown_tokens_and_errors_are_told_apart() {
        let mut scene = Scene::new().await;
        scene.reader.begin_counting();
        let counts = scene.wait_for(|counts| counts.absent > 0).await;
        assert_eq!(counts.bad[0].finding, Finding::Absent);

        scene.refresh().await;
        let token = scene.simulator.newest(APP_ID).unwrap();
        scene.simulator.revoke(&token.value, true);
        scene.reader.begin_counting();
        let counts = scene.wait_for(|counts| counts.dead > 0).await;
        assert_eq!(counts.bad[0].fingerprint, Some(token.fingerprint));

        let () = scene.redis.command(&["SET", TOKEN_KEY, "never issued"]).await;
        scene.reader.begin_counting();
        let counts = scene.wait_for(|counts| counts.dead > 1).await;
        assert_eq!(counts.bad[1].fingerprint, None);

        scene.redis.kill().await;
        scene.wait_for(|counts| counts.redis_errors > 0).await;
        scene.redis.restart().await;
        scene.refresh().await;
        scene.reader.begin_counting();
        let counts = scene.wait_for(|counts| counts.reads > 2).await;
        assert_eq!(counts.dead + counts.raced, 0, "{counts:?}");
    }
}

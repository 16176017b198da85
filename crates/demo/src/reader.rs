//! A service that uses the token: it takes it from Redis and calls the upstream with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use zhongkong_testkit::cluster::TOKEN_KEY;
use zhongkong_testkit::http;

use crate::narrate::Narrator;

/// How often it needs a token.
const EVERY: Duration = Duration::from_millis(100);
/// Longest wait for the upstream.
const PATIENCE: Duration = Duration::from_secs(5);

/// What it found since the first token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tokens looked for.
    pub(crate) reads: u64,
    /// Tokens that the upstream did not accept.
    pub(crate) dead: u64,
    /// No token was there.
    pub(crate) absent: u64,
    /// Redis or the upstream did not answer, so nothing was learnt.
    pub(crate) unanswered: u64,
}

impl Counts {
    /// What was found between an earlier count and this one.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            reads: self.reads - earlier.reads,
            dead: self.dead - earlier.dead,
            absent: self.absent - earlier.absent,
            unanswered: self.unanswered - earlier.unanswered,
        }
    }

    /// Whether every look brought a token that works.
    pub(crate) fn are_good(self) -> bool {
        self.reads > 0 && self.dead + self.absent + self.unanswered == 0
    }
}

/// The reader at work; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    counts: Arc<Mutex<Counts>>,
    _task: JoinSet<()>,
}

impl Reader {
    pub(crate) async fn start(
        redis_url: &str,
        upstream_url: String,
        narrator: Narrator,
    ) -> anyhow::Result<Self> {
        let client = redis::Client::open(redis_url)?;
        let connection = client.get_multiplexed_async_connection().await?;
        let counts = Arc::new(Mutex::new(Counts::default()));
        let service = Service { connection, upstream_url, narrator, counts: Arc::clone(&counts) };
        let mut task = JoinSet::new();
        task.spawn(service.work());
        Ok(Self { counts, _task: task })
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Service {
    connection: MultiplexedConnection,
    upstream_url: String,
    narrator: Narrator,
    counts: Arc<Mutex<Counts>>,
}

impl Service {
    async fn work(mut self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut in_trouble = false;
        loop {
            ticks.tick().await;
            let found = self.use_token().await;
            let good = matches!(found, Found::Good);
            if !self.count(&found) || good != in_trouble {
                continue;
            }
            // Told when it begins and when it ends: ten lines a second would drown the rest.
            in_trouble = !good;
            if in_trouble {
                self.narrator.alarm(&found.told());
            } else {
                self.narrator.event(&found.told());
            }
        }
    }

    /// Says whether it counts: before the first token there is nothing to miss.
    fn count(&self, found: &Found) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.reads == 0 && !matches!(found, Found::Good) {
            return false;
        }
        counts.reads += 1;
        match found {
            Found::Good => {}
            Found::Absent => counts.absent += 1,
            Found::Dead { .. } => counts.dead += 1,
            Found::Unanswered { .. } => counts.unanswered += 1,
        }
        true
    }

    /// What every service does, and all that it needs of us: one GET.
    async fn use_token(&mut self) -> Found {
        let get = redis::cmd("GET").arg(TOKEN_KEY).query_async(&mut self.connection).await;
        let token: String = match get {
            Ok(Some(token)) => token,
            Ok(None) => return Found::Absent,
            Err(error) => return Found::Unanswered { by: "Redis", why: error.to_string() },
        };
        let path = format!("cgi-bin/get_api_domain_ip?access_token={token}");
        let request = http::Request::new("GET", &format!("{}/{path}", self.upstream_url));
        match request.within(PATIENCE).send().await {
            Ok(answer) => match answer.json()["errcode"].as_i64().unwrap_or_default() {
                0 => Found::Good,
                errcode => Found::Dead { errcode },
            },
            Err(error) => Found::Unanswered { by: "the upstream", why: error.to_string() },
        }
    }
}

enum Found {
    Good,
    Absent,
    Dead { errcode: i64 },
    Unanswered { by: &'static str, why: String },
}

impl Found {
    fn told(&self) -> String {
        match self {
            Self::Good => "the reader's token works again".to_owned(),
            Self::Absent => "THE READER FOUND NO TOKEN".to_owned(),
            Self::Dead { errcode } => {
                format!("THE READER'S TOKEN IS DEAD (the upstream answers {errcode})")
            }
            Self::Unanswered { by, why } => format!("the reader got no answer from {by}: {why}"),
        }
    }
}

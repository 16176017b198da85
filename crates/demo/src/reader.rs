//! A service that uses the token: it takes it from Redis and calls the upstream with it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
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
    /// Of those, the reads of a token that a scene had killed from outside, before another was published.
    pub(crate) killed: u64,
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
            killed: self.killed - earlier.killed,
            absent: self.absent - earlier.absent,
            unanswered: self.unanswered - earlier.unanswered,
        }
    }

    /// Whether every look brought a token that works, or one that nobody inside could know to be dead.
    pub(crate) fn are_good(self) -> bool {
        self.reads > 0 && self.dead == self.killed && self.absent + self.unanswered == 0
    }
}

/// The reader at work; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    seen: Arc<Mutex<Seen>>,
    _task: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    counts: Counts,
    /// The last look brought something else than a token that works.
    in_trouble: bool,
    killed: Option<Killed>,
}

/// A token that a scene kills from outside. Has no derived `Debug`, because it holds the token.
struct Killed {
    token: String,
    /// Another was published by then, so from then on nobody may find this one.
    replaced_at: Option<Instant>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl Seen {
    /// Whether a token that was read at `at` had been killed from outside, and not yet replaced.
    fn excuses(&self, token: &str, at: Instant) -> bool {
        self.killed.as_ref().is_some_and(|killed| {
            killed.token == token && killed.replaced_at.is_none_or(|replaced_at| at <= replaced_at)
        })
    }
}

impl Reader {
    pub(crate) async fn start(
        redis_url: &str,
        upstream_url: String,
        narrator: Narrator,
    ) -> anyhow::Result<Self> {
        let client = redis::Client::open(redis_url)?;
        let connection = client.get_multiplexed_async_connection().await?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let service = Service { connection, upstream_url, narrator, seen: Arc::clone(&seen) };
        let mut task = JoinSet::new();
        task.spawn(service.work());
        Ok(Self { seen, _task: task })
    }

    pub(crate) fn counts(&self) -> Counts {
        lock(&self.seen).counts
    }

    /// Whether its last look brought a token that works.
    pub(crate) fn is_content(&self) -> bool {
        !lock(&self.seen).in_trouble
    }

    /// A scene is about to kill this token from outside: that readers find it dead is no fault of the cluster's.
    pub(crate) fn will_be_killed(&self, token: &str) {
        lock(&self.seen).killed = Some(Killed { token: token.to_owned(), replaced_at: None });
    }

    /// Another token was published by then: whoever still finds the killed one is let down.
    pub(crate) fn was_replaced(&self, at: Instant) {
        if let Some(killed) = &mut lock(&self.seen).killed {
            killed.replaced_at = Some(at);
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Service {
    connection: MultiplexedConnection,
    upstream_url: String,
    narrator: Narrator,
    seen: Arc<Mutex<Seen>>,
}

impl Service {
    async fn work(mut self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let found = self.use_token().await;
            // Told when it begins and when it ends: ten lines a second would drown the rest.
            match self.count(&found) {
                Some(Turn::Worse) => self.narrator.alarm(&found.told()),
                Some(Turn::Better) => self.narrator.event(&found.told()),
                None => {}
            }
        }
    }

    /// Counts it, unless there was no token yet: then there is nothing to miss.
    fn count(&self, found: &Found) -> Option<Turn> {
        let mut seen = lock(&self.seen);
        let good = matches!(found, Found::Good);
        if seen.counts.reads == 0 && !good {
            return None;
        }
        let was_in_trouble = std::mem::replace(&mut seen.in_trouble, !good);
        let counts = &mut seen.counts;
        counts.reads += 1;
        match found {
            Found::Good => {}
            Found::Absent => counts.absent += 1,
            Found::Dead { killed, .. } => {
                counts.dead += 1;
                counts.killed += u64::from(*killed);
            }
            Found::Unanswered { .. } => counts.unanswered += 1,
        }
        match (was_in_trouble, good) {
            (false, false) => Some(Turn::Worse),
            (true, true) => Some(Turn::Better),
            _ => None,
        }
    }

    /// What every service does, and all that it needs of us: one GET.
    async fn use_token(&mut self) -> Found {
        let at = Instant::now();
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
                errcode => Found::Dead { errcode, killed: lock(&self.seen).excuses(&token, at) },
            },
            Err(error) => Found::Unanswered { by: "the upstream", why: error.to_string() },
        }
    }
}

/// What changed with a look.
enum Turn {
    Worse,
    Better,
}

enum Found {
    Good,
    Absent,
    Dead { errcode: i64, killed: bool },
    Unanswered { by: &'static str, why: String },
}

impl Found {
    fn told(&self) -> String {
        match self {
            Self::Good => "the reader's token works again".to_owned(),
            Self::Absent => "THE READER FOUND NO TOKEN".to_owned(),
            Self::Dead { errcode, killed: true } => {
                format!("the reader's calls are rejected: the upstream answers {errcode}")
            }
            Self::Dead { errcode, killed: false } => {
                format!("THE READER'S TOKEN IS DEAD (the upstream answers {errcode})")
            }
            Self::Unanswered { by, why } => format!("the reader got no answer from {by}: {why}"),
        }
    }
}

//! Follows Redis: one connection after another, on each of them what is wanted is read, and read again when Redis says that it changed.
//!
//! `CLIENT TRACKING` in its default form needs the fewest rights, and Redis tells of the keys that were read and of no others.
//! It tells of a change once, and from the next read on again. So each change that is heard of leads to a read *sent after* it was heard;
//! a read that raced a change is repeated, because the change comes out of the queue after it.
//! What Redis fails to tell, a read of everything finds: its answers, not silence, are what keeps a copy young.

use std::sync::Arc;
use std::time::Duration;

use redis::{Pipeline, RedisError, RedisResult, Value};
use tokio::time::MissedTickBehavior;
use zhongkong_core::clock::Boot;
use zhongkong_core::policy::{Random, backoff};
use zhongkong_core::token::Token as Text;

use crate::client::{Mode, Shared};
use crate::clock;
use crate::copy::{Answer, Copy};
use crate::error::Why;
use crate::link::{Link, describe};
use crate::news::Heard;
use crate::settings::Target;

/// Units that one pipeline reads.
const BATCH: usize = 128;

/// The task behind a client.
pub(crate) struct Follower {
    pub(crate) target: Target,
    pub(crate) shared: Arc<Shared>,
}

/// One connection's life.
struct Session<'a> {
    shared: &'a Shared,
    link: Link,
    mode: Mode,
    /// Whether `PTTL` is allowed; asked until it is refused once.
    tells_life: bool,
    /// Everything was read at least once.
    proved: bool,
}

impl Follower {
    pub(crate) async fn run(self) {
        let address = self.target.address();
        let pace = self.shared.pace;
        let mut failures = 0;
        loop {
            let why = match self.session().await {
                Ok(mut session) => {
                    let why = session.follow().await;
                    if session.proved {
                        failures = 0;
                    }
                    why
                }
                Err(why) => why,
            };
            self.shared.lost(&why);
            if failures == 0 {
                tracing::warn!(redis = %address, error = %why, "no connection to redis; tokens are handed out while their copies are young, and it is tried again");
            }
            let (base, cap) = pace.retry;
            tokio::time::sleep(backoff(base, cap, failures, Random::new(rand::random()))).await;
            failures = failures.saturating_add(1);
        }
    }

    async fn session(&self) -> Result<Session<'_>, Why> {
        let mut link = Link::open(&self.target, &self.shared.pace).await?;
        let mut track = redis::cmd("CLIENT");
        let tracked = track.arg(&["TRACKING", "ON"]).query_async::<()>(&mut link.connection).await;
        let mode = match tracked {
            Ok(()) => Mode::Tracking,
            // The user may not, or the server cannot. Any other error is one of the moment.
            Err(error) if matches!(error.code(), Some("NOPERM" | "ERR")) => {
                tracing::warn!(
                    error = describe(&error),
                    "redis refuses CLIENT TRACKING: it is asked every second instead; allow its user +client|tracking"
                );
                Mode::Polling
            }
            Err(error) => return Err(Why::new(&describe(&error))),
        };
        tracing::info!(redis = %self.target.address(), ?mode, "reading tokens from redis");
        let shared = &*self.shared;
        Ok(Session { shared, link, mode, tells_life: true, proved: false })
    }
}

impl Session<'_> {
    /// Until the connection is of no use any more; why it is not.
    async fn follow(&mut self) -> Why {
        self.shared.connected(self.link.connection.clone(), self.mode);
        let pace = self.shared.pace;
        let mut every = tokio::time::interval(match self.mode {
            Mode::Tracking => pace.confirm_every,
            Mode::Polling => pace.poll_every,
        });
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => self.shared.want_all(),
                () = self.shared.wake.notified() => {}
                heard = self.link.news.next() => for heard in heard {
                    match heard {
                        Heard::Changed(key) => self.shared.want(&key),
                        Heard::AnyChanged => self.shared.want_all(),
                        Heard::Closed => return Why::new("the connection was closed"),
                    }
                }
            }
            if let Err(error) = self.read_wanted().await {
                return Why::new(&describe(&error));
            }
            self.proved = true;
        }
    }

    async fn read_wanted(&mut self) -> Result<(), RedisError> {
        let mut wanted = self.shared.living();
        wanted.retain(|copy| copy.take_wanted());
        for batch in wanted.chunks(BATCH) {
            self.read(batch).await?;
        }
        Ok(())
    }

    async fn read(&mut self, batch: &[Arc<Copy>]) -> Result<(), RedisError> {
        let mut pipe = Pipeline::new();
        for copy in batch {
            if self.tells_life {
                // First, so that a token that comes in between gets the life of the one before: too short rather than too long.
                pipe.cmd("PTTL").arg(&copy.key);
            }
            pipe.cmd("GET").arg(&copy.key);
        }
        let sent = clock::now();
        let answers: Vec<RedisResult<Value>> =
            pipe.ignore_errors().query_async(&mut self.link.connection).await?;
        let mut answers = answers.into_iter();
        let asked_for_life = self.tells_life;
        for copy in batch {
            let left = if asked_for_life { self.life(answers.next()) } else { None };
            take(copy, answers.next(), left, sent);
        }
        Ok(())
    }

    fn life(&mut self, answer: Option<RedisResult<Value>>) -> Option<Duration> {
        match answer? {
            Ok(Value::Int(left_ms)) => u64::try_from(left_ms).ok().map(Duration::from_millis),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(
                    error = describe(&error),
                    "redis refuses PTTL: the end of a token's life is not known before its key is gone"
                );
                self.tells_life = false;
                None
            }
        }
    }
}

/// Never through the library's own conversions: their errors quote what they could not convert, which is the token.
fn take(copy: &Copy, answer: Option<RedisResult<Value>>, left: Option<Duration>, sent: Boot) {
    match answer {
        Some(Ok(Value::Nil)) => copy.learn(Answer::Absent, sent),
        Some(Ok(Value::BulkString(bytes))) => {
            match String::from_utf8(bytes).ok().and_then(|text| Text::new(text).ok()) {
                Some(text) => copy.learn(Answer::Token { text, left }, sent),
                None => copy.blame(&Why::new("the key holds no token")),
            }
        }
        Some(Err(error)) => copy.blame(&Why::new(&describe(&error))),
        Some(Ok(_)) | None => copy.blame(&Why::new("an answer that is none to GET")),
    }
}

/// Whether it is the connection that failed, and not the command.
pub(crate) fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_timeout()
}

//! One connection, which is replaced when it breaks and never repairs itself behind a command's back.
//!
//! A client that reconnects in the middle of a pipeline would let `WAIT` answer for writes that the new connection never made.

use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
};
use tokio::sync::Mutex;
use tokio::time::Instant;
use zhongkong_core::policy::{Random, backoff};
use zhongkong_core::ports::StoreError;

use crate::believed::Epochs;
use crate::facts;
use crate::place::{Made, Place};
use crate::refusal::{explain, is_demoted, is_forbidden};
use crate::scripts::{Call, Operation};

/// Long enough for a handshake over a slow network, short enough to leave most of a lease.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Above the time-out of `WAIT`, so that a slow replica is an answer and not a broken connection.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
const RECONNECT_BASE: Duration = Duration::from_millis(100);
const RECONNECT_CAP: Duration = Duration::from_secs(2);

/// A connection, made when it is first needed and again after it broke.
#[derive(Debug)]
pub(crate) struct Link {
    place: Arc<Place>,
    /// For calls that wait in Redis for so long; none for what it answers at once.
    patience: Option<Duration>,
    slot: Mutex<Slot>,
    epochs: SyncMutex<Epochs>,
}

#[derive(Debug, Default)]
struct Slot {
    line: Option<Line>,
    /// Counts connections.
    serial: u64,
    failures: u32,
    not_before: Option<Instant>,
    last_error: String,
}

/// A connection that stands.
#[derive(Clone, Debug)]
struct Line {
    connection: MultiplexedConnection,
    /// Its number, so that a late failure of an old connection does not drop the new one.
    serial: u64,
    /// How often the place had been left when it was made.
    moves: u64,
    /// What it told of the epoch when it was made; empty where it told nothing, or is not asked.
    epoch: Arc<str>,
}

impl Link {
    pub(crate) fn new(place: Arc<Place>) -> Self {
        Self { place, patience: None, slot: Mutex::default(), epochs: SyncMutex::default() }
    }

    /// One on which an answer may take so long.
    pub(crate) fn patient(place: Arc<Place>, patience: Duration) -> Self {
        Self { patience: Some(patience), ..Self::new(place) }
    }

    /// What a connection told of the epoch later on, as far as it is believed; else empty.
    pub(crate) fn believe(&self, epoch: Option<String>) -> String {
        self.epochs().hear(epoch)
    }

    /// Whether nothing that is told of the epoch is believed.
    pub(crate) fn flaps(&self) -> bool {
        self.epochs().flaps()
    }

    fn epochs(&self) -> std::sync::MutexGuard<'_, Epochs> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection.
    async fn line(&self) -> Result<Line, StoreError> {
        let mut slot = self.slot.lock().await;
        if let Some(line) = &slot.line
            && line.moves == self.place.moves()
        {
            return Ok(line.clone());
        }
        slot.line = None;
        // Whoever waited for the lock while a connection failed shares its outcome, instead of trying in turn.
        if slot.not_before.is_some_and(|instant| Instant::now() < instant) {
            return Err(StoreError::Unavailable(slot.last_error.clone()));
        }
        match self.connect().await {
            Ok(((connection, moves), epoch)) => {
                let serial = slot.serial + 1;
                let line = Line { connection, serial, moves, epoch: epoch.into() };
                *slot = Slot { line: Some(line.clone()), serial, ..Slot::default() };
                Ok(line)
            }
            Err(why) => {
                slot.not_before = Some(Instant::now() + reconnect_backoff(slot.failures));
                slot.failures = slot.failures.saturating_add(1);
                slot.last_error = why;
                Err(StoreError::Unavailable(slot.last_error.clone()))
            }
        }
    }

    /// A new connection, and what it tells of the epoch before anything else is sent on it; else why there is none.
    async fn connect(&self) -> Result<(Made, String), String> {
        let response_timeout = self.patience.unwrap_or(RESPONSE_TIMEOUT);
        let config = timeouts().set_response_timeout(Some(response_timeout));
        let (mut connection, moves) = self.place.connect(&config).await?;
        if self.patience.is_some() {
            return Ok(((connection, moves), String::new()));
        }
        let mut ask = redis::cmd("INFO");
        ask.arg(&["server", "replication"]);
        let told: RedisResult<String> = ask.query_async(&mut connection).await;
        let epoch = match told {
            Ok(info) => facts::epoch(&info),
            // Scripts are refused it as well then.
            Err(error) if is_forbidden(&error) => None,
            Err(error) => return Err(explain(&error)),
        };
        let mut epochs = self.epochs();
        epochs.begin();
        Ok(((connection, moves), epochs.hear(epoch)))
    }

    async fn forget(&self, serial: u64) {
        let mut slot = self.slot.lock().await;
        if slot.serial == serial {
            slot.line = None;
        }
    }

    /// Sends `pipe` once on one connection; each command's own result.
    pub(crate) async fn send(
        &self,
        name: &'static str,
        pipe: &mut Pipeline,
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let begun = Instant::now();
        let line = self.line().await?;
        self.send_on(line, begun, name, pipe).await
    }

    async fn send_on(
        &self,
        line: Line,
        begun: Instant,
        name: &'static str,
        pipe: &mut Pipeline,
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let Line { mut connection, serial, moves, .. } = line;
        let sent: RedisResult<Vec<RedisResult<Value>>> =
            pipe.ignore_errors().query_async(&mut connection).await;
        let seconds = begun.elapsed().as_secs_f64();
        // How long nothing was there to be taken is not how long Redis takes.
        if self.patience.is_none() {
            metrics::histogram!("zhongkong_store_request_duration_seconds", "op" => name)
                .record(seconds);
        }
        match sent {
            Ok(results) => {
                if results.iter().any(|result| result.as_ref().is_err_and(is_demoted)) {
                    // Not only this connection, but every one that leads there.
                    self.place.leave(moves);
                }
                Ok(results)
            }
            Err(error) => {
                // Also after a time-out: what is still to come on that connection is for nobody.
                self.forget(serial).await;
                Err(StoreError::Unavailable(describe(&error)))
            }
        }
    }

    /// Sends one command, and gives its answer.
    pub(crate) async fn ask(&self, name: &'static str, command: Cmd) -> Result<Value, StoreError> {
        let mut pipe = redis::pipe();
        pipe.add_command(command);
        settled(self.send(name, &mut pipe).await?.into_iter().next())
    }

    /// Sends one script call and what follows it in the same pipeline; both again if the server had forgotten the script.
    pub(crate) async fn run(
        &self,
        operation: &Operation,
        append: impl Fn(&mut Pipeline, Call<'_>),
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let results = self.call(operation, &append, true).await?;
        let forgotten = results.iter().any(|result| {
            result.as_ref().is_err_and(|e| e.kind() == ServerErrorKind::NoScript.into())
        });
        if forgotten { self.call(operation, &append, false).await } else { Ok(results) }
    }

    async fn call(
        &self,
        operation: &Operation,
        append: impl Fn(&mut Pipeline, Call<'_>),
        known: bool,
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let begun = Instant::now();
        let line = self.line().await?;
        let mut pipe = redis::pipe();
        append(&mut pipe, Call { known, epoch: &line.epoch });
        self.send_on(line, begun, operation.name, &mut pipe).await
    }
}

/// The wait before a connection that failed so often in a row is tried again.
pub(crate) fn reconnect_backoff(failures: u32) -> Duration {
    backoff(RECONNECT_BASE, RECONNECT_CAP, failures, Random::new(rand::random()))
}

/// The time-outs of every connection.
pub(crate) fn timeouts() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
}

/// One command's result: the server's own refusal is definite, since the command did not run.
pub(crate) fn settled(result: Option<RedisResult<Value>>) -> Result<Value, StoreError> {
    match result {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(StoreError::Refused(explain(&error))),
        None => Err(StoreError::Unavailable("no answer".to_owned())),
    }
}

/// An error's text, on one line, and without the arguments that a server repeats of a command that it does not know: of a
/// login, one of them is the password.
pub(crate) fn describe(error: &RedisError) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.split(", with args").next().unwrap_or_default().trim().to_owned()
}

//! One connection, which is replaced when it breaks and never repairs itself behind a command's back.
//!
//! A client that reconnects in the middle of a pipeline would let `WAIT` answer for writes that the new connection never made.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
};
use tokio::sync::Mutex;
use tokio::time::Instant;
use zhongkong_core::policy::{Random, backoff};
use zhongkong_core::ports::StoreError;

use crate::place::Place;
use crate::scripts::Operation;

/// Long enough for a handshake over a slow network, short enough to leave most of a lease.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Above the time-out of `WAIT`, so that a slow replica is an answer and not a broken connection.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
const RECONNECT_BASE: Duration = Duration::from_millis(100);
const RECONNECT_CAP: Duration = Duration::from_secs(2);

/// A connection, made when it is first needed and again after it broke.
#[derive(Debug)]
pub(crate) struct Link {
    place: Arc<Place>,
    response_timeout: Duration,
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that a late failure of an old one does not drop the new one.
    serial: u64,
    failures: u32,
    not_before: Option<Instant>,
    last_error: String,
}

impl Link {
    pub(crate) fn new(place: Arc<Place>) -> Self {
        Self::patient(place, RESPONSE_TIMEOUT)
    }

    /// One on which an answer may take so long.
    pub(crate) fn patient(place: Arc<Place>, response_timeout: Duration) -> Self {
        Self { place, response_timeout, slot: Mutex::default() }
    }

    /// A connection, and its number.
    async fn connection(&self) -> Result<(MultiplexedConnection, u64), StoreError> {
        let mut slot = self.slot.lock().await;
        if let Some(connection) = &slot.connection {
            return Ok((connection.clone(), slot.serial));
        }
        // Whoever waited for the lock while a connection failed shares its outcome, instead of trying in turn.
        if slot.not_before.is_some_and(|instant| Instant::now() < instant) {
            return Err(StoreError::Unavailable(slot.last_error.clone()));
        }
        let config = timeouts().set_response_timeout(Some(self.response_timeout));
        match self.place.connect(&config).await {
            Ok(connection) => {
                let serial = slot.serial + 1;
                *slot = Slot { connection: Some(connection.clone()), serial, ..Slot::default() };
                Ok((connection, serial))
            }
            Err(why) => {
                slot.not_before = Some(Instant::now() + reconnect_backoff(slot.failures));
                slot.failures = slot.failures.saturating_add(1);
                slot.last_error = why;
                Err(StoreError::Unavailable(slot.last_error.clone()))
            }
        }
    }

    async fn forget(&self, serial: u64) {
        let mut slot = self.slot.lock().await;
        if slot.serial == serial {
            slot.connection = None;
        }
    }

    /// Sends `pipe` once on one connection; each command's own result.
    pub(crate) async fn send(
        &self,
        name: &'static str,
        pipe: &mut Pipeline,
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let begun = Instant::now();
        let (mut connection, serial) = self.connection().await?;
        let sent: RedisResult<Vec<RedisResult<Value>>> =
            pipe.ignore_errors().query_async(&mut connection).await;
        let seconds = begun.elapsed().as_secs_f64();
        // How long nothing was there to be taken is not how long Redis takes.
        if self.response_timeout == RESPONSE_TIMEOUT {
            metrics::histogram!("zhongkong_store_request_duration_seconds", "op" => name)
                .record(seconds);
        }
        match sent {
            Ok(results) => {
                if results.iter().any(|result| result.as_ref().is_err_and(is_demoted)) {
                    self.forget(serial).await;
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
        append: impl Fn(&mut Pipeline, bool),
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let mut pipe = redis::pipe();
        append(&mut pipe, true);
        let results = self.send(operation.name, &mut pipe).await?;
        let forgotten = results.iter().any(|result| {
            result.as_ref().is_err_and(|e| e.kind() == ServerErrorKind::NoScript.into())
        });
        if !forgotten {
            return Ok(results);
        }
        let mut pipe = redis::pipe();
        append(&mut pipe, false);
        self.send(operation.name, &mut pipe).await
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

/// A primary that was demoted, or a server that is about to be another one: the next command belongs elsewhere.
fn is_demoted(error: &RedisError) -> bool {
    [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown]
        .iter()
        .any(|kind| error.kind() == (*kind).into())
}

/// One command's result: the server's own refusal is definite, since the command did not run.
pub(crate) fn settled(result: Option<RedisResult<Value>>) -> Result<Value, StoreError> {
    match result {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(StoreError::Refused(describe(&error))),
        None => Err(StoreError::Unavailable("no answer".to_owned())),
    }
}

/// An error's text, on one line.
pub(crate) fn describe(error: &RedisError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

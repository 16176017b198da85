//! One primary: the connections that a worker has to it, each made when it is first needed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{Pipeline, RedisResult, Value};
use zhongkong_core::ports::StoreError;

use crate::facts;
use crate::lanes::Lanes;
use crate::link::Link;
use crate::place::Place;
use crate::scripts::{Call, Operation, UNBELIEVED};

/// The longest that a call may wait in Redis for something to come.
pub(crate) const BLOCK: Duration = Duration::from_secs(5);
/// Longer than that, so that nothing to come is no broken connection.
const PATIENCE: Duration = Duration::from_secs(7);

/// A primary.
#[derive(Debug)]
pub(crate) struct Node {
    /// `host:port` in a cluster; a server that stands alone needs no name.
    pub(crate) name: String,
    /// The epoch as it was last told; empty where it never was.
    epoch: Mutex<String>,
    pub(crate) place: Arc<Place>,
    /// For all that Redis answers at once.
    pub(crate) commands: Link,
    /// For a call that waits in Redis, which would hold every other up.
    pub(crate) waiting: Link,
    claims: Lanes,
}

impl Node {
    pub(crate) fn new(place: Place, name: String) -> Self {
        let place = Arc::new(place);
        Self {
            name,
            epoch: Mutex::default(),
            commands: Link::new(Arc::clone(&place)),
            waiting: Link::patient(Arc::clone(&place), PATIENCE),
            claims: Lanes::new(Arc::clone(&place)),
            place,
        }
    }

    /// What it says of itself, without what only people want to know; empty where that is refused.
    pub(crate) async fn info(&self) -> Result<String, StoreError> {
        let mut info = redis::cmd("INFO");
        info.arg("server").arg("replication");
        let text: Option<String> = match self.commands.ask("info", info).await {
            Err(StoreError::Refused(_)) => None,
            answer => redis::from_redis_value(answer?).ok(),
        };
        let text = text.unwrap_or_default();
        let epoch = self.commands.believe(facts::epoch(&text));
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = epoch;
        Ok(text)
    }

    /// The epoch as it was last told.
    pub(crate) fn last_epoch(&self) -> Option<String> {
        let epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(epoch).filter(|epoch| !epoch.is_empty())
    }

    /// Sends one script call and what follows it; on a connection that nobody else uses meanwhile if a `WAIT` follows.
    pub(crate) async fn run(
        &self,
        operation: &Operation,
        waits: bool,
        append: impl Fn(&mut Pipeline, Call<'_>),
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let append = |pipe: &mut Pipeline, call: Call<'_>| {
            let epoch = if self.commands.flaps() { UNBELIEVED } else { call.epoch };
            append(pipe, Call { epoch, ..call });
        };
        if waits {
            self.claims.run(operation, append).await
        } else {
            self.commands.run(operation, append).await
        }
    }
}

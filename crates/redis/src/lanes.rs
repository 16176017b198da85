//! Connections for claims: each carries one claim and its `WAIT` at a time, since `WAIT` blocks the connection.

use std::sync::{Mutex, PoisonError};

use redis::{Client, Pipeline, RedisResult, Value};
use zhongkong_core::ports::StoreError;

use crate::link::Link;
use crate::scripts::Operation;

/// Connections that are kept for the next claims; what a burst needed beyond that is closed after it.
const IDLE_MAX: usize = 4;

/// As many connections as there are claims at once; their number is bounded by who claims.
#[derive(Debug)]
pub(crate) struct Lanes {
    client: Client,
    idle: Mutex<Vec<Link>>,
}

impl Lanes {
    pub(crate) const fn new(client: Client) -> Self {
        Self { client, idle: Mutex::new(Vec::new()) }
    }

    /// Sends one script call and what follows it on a connection that nobody else uses meanwhile.
    pub(crate) async fn run(
        &self,
        operation: &Operation,
        append: impl Fn(&mut Pipeline, bool),
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let free = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let link = free.unwrap_or_else(|| Link::new(self.client.clone()));
        let results = link.run(operation, append).await;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(link);
        }
        results
    }
}

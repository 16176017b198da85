//! Connections for claims: each carries one claim and its `WAIT` at a time, since `WAIT` blocks the connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{Pipeline, RedisResult, Value};
use tokio::time::Instant;
use zhongkong_core::ports::StoreError;

use crate::link::Link;
use crate::place::Place;
use crate::scripts::{Call, Operation};

/// A connection that was idle for longer may have been dropped on the way, which only its next user would find out.
const IDLE_FOR: Duration = Duration::from_secs(30);
/// Connections that are kept for the next claims: as many as a worker claims at once by default, since one that is made
/// anew costs more than its claim.
const IDLE_MAX: usize = 64;

/// As many connections as there are claims at once; their number is bounded by who claims.
#[derive(Debug)]
pub(crate) struct Lanes {
    place: Arc<Place>,
    idle: Mutex<Vec<(Instant, Link)>>,
}

impl Lanes {
    pub(crate) const fn new(place: Arc<Place>) -> Self {
        Self { place, idle: Mutex::new(Vec::new()) }
    }

    /// Sends one script call and what follows it on a connection that nobody else uses meanwhile.
    pub(crate) async fn run(
        &self,
        operation: &Operation,
        append: impl Fn(&mut Pipeline, Call<'_>),
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let fresh = |(since, _): &(Instant, Link)| since.elapsed() < IDLE_FOR;
        let free = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().filter(fresh);
        let link = free.map_or_else(|| Link::new(Arc::clone(&self.place)), |(_, link)| link);
        let results = link.run(operation, append).await;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(fresh);
        if idle.len() < IDLE_MAX {
            idle.push((Instant::now(), link));
        }
        results
    }
}

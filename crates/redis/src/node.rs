//! One primary: the connections that a worker has to it, each made when it is first needed.

use std::sync::Arc;
use std::time::Duration;

use redis::{Pipeline, RedisResult, Value};
use zhongkong_core::ports::StoreError;

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
    pub(crate) place: Arc<Place>,
    /// For all that Redis answers at once.
    pub(crate) commands: Link,
    /// For a call that waits in Redis, which would hold every other up.
    pub(crate) waiting: Link,
    claims: Lanes,
}

impl Node {
    pub(crate) fn new(place: Place) -> Self {
        let place = Arc::new(place);
        Self {
            commands: Link::new(Arc::clone(&place)),
            waiting: Link::patient(Arc::clone(&place), PATIENCE),
            claims: Lanes::new(Arc::clone(&place)),
            place,
        }
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

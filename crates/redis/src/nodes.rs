//! All primaries, and which of them has a key.

use std::sync::Arc;

use redis::{Cmd, Pipeline, RedisResult, Value};
use zhongkong_core::ports::StoreError;

use crate::link::settled;
use crate::node::Node;
use crate::place::Place;
use crate::scripts::Operation;
use crate::settings::{Deployment, RedisSettings};

/// The primaries of one Redis.
#[derive(Debug)]
pub(crate) struct Nodes {
    only: Arc<Node>,
}

impl Nodes {
    /// Those at `settings`. Nothing is connected yet.
    pub(crate) fn new(settings: &RedisSettings) -> Self {
        let access = Arc::new(settings.access.clone());
        let place = match &settings.deployment {
            Deployment::Server(address) => Place::Server(access, address.clone()),
        };
        Self { only: Arc::new(Node::new(place)) }
    }

    /// Every primary.
    pub(crate) fn all(&self) -> Vec<Arc<Node>> {
        vec![Arc::clone(&self.only)]
    }

    /// Sends `pipe`, all of whose keys share the slot of `key`, to the primary that has it; each command's own result.
    pub(crate) async fn send(
        &self,
        name: &'static str,
        _key: &str,
        pipe: &mut Pipeline,
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        self.only.commands.send(name, pipe).await
    }

    /// Sends one command on `key`, and gives its answer.
    pub(crate) async fn ask(
        &self,
        name: &'static str,
        key: &str,
        command: Cmd,
    ) -> Result<Value, StoreError> {
        let mut pipe = redis::pipe();
        pipe.add_command(command);
        settled(self.send(name, key, &mut pipe).await?.into_iter().next())
    }

    /// Sends one command on `key` that waits in Redis for something to come, and gives its answer.
    pub(crate) async fn wait(
        &self,
        name: &'static str,
        _key: &str,
        command: Cmd,
    ) -> Result<Value, StoreError> {
        self.only.waiting.ask(name, command).await
    }

    /// Sends one script call on `key` and what follows it in the same pipeline.
    pub(crate) async fn run(
        &self,
        operation: &Operation,
        _key: &str,
        waits: bool,
        append: impl Fn(&mut Pipeline, bool),
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        self.only.run(operation, waits, append).await
    }
}

//! All primaries, and which of them has a key.

use std::sync::Arc;

use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::sync::watch;
use zhongkong_core::ports::StoreError;

use crate::cluster::Cluster;
use crate::link::{Link, settled};
use crate::node::Node;
use crate::place::Place;
use crate::redirect::{Redirect, answers, asking};
use crate::scripts::{Call, Operation};
use crate::sentinel::Sentinels;
use crate::settings::{Deployment, RedisSettings};
use crate::slots::slot_of;

/// The primaries of one Redis.
#[derive(Debug)]
pub(crate) enum Nodes {
    /// One has every key.
    Only(watch::Sender<Vec<Arc<Node>>>, Arc<Node>),
    /// Each has some.
    Cluster(Box<Cluster>),
}

impl Nodes {
    /// Those at `settings`. Nothing is connected yet.
    pub(crate) fn new(settings: &RedisSettings) -> Self {
        let access = Arc::new(settings.access.clone());
        let place = match &settings.deployment {
            Deployment::Server(address) => Place::server(access, address.clone()),
            Deployment::Sentinel(settings) => Place::named(access, Sentinels::new(settings)),
            Deployment::Cluster(seeds) => {
                return Self::Cluster(Box::new(Cluster::new(access, seeds)));
            }
        };
        let only = Arc::new(Node::new(place, String::new()));
        Self::Only(watch::Sender::new(vec![Arc::clone(&only)]), only)
    }

    /// The cluster, if it is one.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        match self {
            Self::Only(..) => None,
            Self::Cluster(cluster) => Some(cluster),
        }
    }

    /// The Sentinels, if it is them that name the primary.
    pub(crate) fn sentinels(&self) -> Option<&Sentinels> {
        match self {
            Self::Only(_, only) => only.place.sentinels(),
            Self::Cluster(_) => None,
        }
    }

    /// Every primary, as they come and go.
    pub(crate) fn primaries(&self) -> watch::Receiver<Vec<Arc<Node>>> {
        match self {
            Self::Only(primaries, _) => primaries.subscribe(),
            Self::Cluster(cluster) => cluster.primaries(),
        }
    }

    /// The primary that has `key`, as far as is known.
    pub(crate) fn known_owner(&self, key: &str) -> Option<Arc<Node>> {
        match self {
            Self::Only(_, only) => Some(Arc::clone(only)),
            Self::Cluster(cluster) => cluster.known_owner(slot_of(key)),
        }
    }

    /// Takes note if `results`, which `node` sent about `key`, say that it is elsewhere or that nobody has it now; then they
    /// are no answer.
    pub(crate) fn is_elsewhere(
        &self,
        key: &str,
        node: &Node,
        results: &[RedisResult<Value>],
    ) -> bool {
        let Self::Cluster(cluster) = self else { return false };
        let redirect = Redirect::of(results, &node.name);
        if let Some(Redirect::Moved(to)) = &redirect {
            cluster.moved(slot_of(key), to);
        }
        redirect.is_some()
    }

    /// Sends `pipe`, all of whose keys share the slot of `key`, to the primary that has it; each command's own result.
    ///
    /// While the slot is on its way it may be sent to another than before, as a whole: commands about keys that need not
    /// exist are not sent together with others.
    pub(crate) async fn send(
        &self,
        name: &'static str,
        key: &str,
        pipe: &mut Pipeline,
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        self.send_by(|node| &node.commands, name, key, pipe).await
    }

    async fn send_by(
        &self,
        link: impl Fn(&Node) -> &Link,
        name: &'static str,
        key: &str,
        pipe: &mut Pipeline,
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let cluster = match self {
            Self::Only(_, only) => return link(only).send(name, pipe).await,
            Self::Cluster(cluster) => cluster,
        };
        let mut route = cluster.route(key);
        loop {
            let (node, is_asked) = route.next().await?;
            let sent = if is_asked {
                let results = link(&node).send(name, &mut asking(pipe)).await;
                results.map(|results| answers(pipe, results))
            } else {
                link(&node).send(name, pipe).await
            };
            if let Some(results) = route.take(&node, sent).await? {
                return Ok(results);
            }
        }
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
        key: &str,
        command: Cmd,
    ) -> Result<Value, StoreError> {
        let mut pipe = redis::pipe();
        pipe.add_command(command);
        let results = self.send_by(|node| &node.waiting, name, key, &mut pipe).await?;
        settled(results.into_iter().next())
    }

    /// Sends one script call on `key` and what follows it in the same pipeline.
    pub(crate) async fn run(
        &self,
        operation: &Operation,
        key: &str,
        waits: bool,
        append: impl Fn(&mut Pipeline, Call<'_>),
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let cluster = match self {
            Self::Only(_, only) => return only.run(operation, waits, append).await,
            Self::Cluster(cluster) => cluster,
        };
        let mut route = cluster.route(key);
        loop {
            let (node, is_asked) = route.next().await?;
            let append = |pipe: &mut Pipeline, call: Call<'_>| {
                if is_asked {
                    pipe.cmd("ASKING");
                }
                append(pipe, call);
            };
            let sent = node.run(operation, waits, append).await.map(|mut results| {
                // The first says only that it may ask.
                results.split_off(usize::from(is_asked).min(results.len()))
            });
            if let Some(results) = route.take(&node, sent).await? {
                return Ok(results);
            }
        }
    }
}

//! Events and key tracking, on a connection of their own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use zhongkong_core::credential::Unit;
use zhongkong_core::ports::{Notice, TouchedKey};
use zhongkong_core::publication::Tracked;

use crate::keys::Keys;
use crate::link::{describe, reconnect_backoff, timeouts};
use crate::node::Node;
use crate::nodes::Nodes;
use crate::reply::View;

/// Pushes that may wait to be heard. More than that is a flood; then everything is read again instead.
const QUEUE: usize = 16_384;
/// How often a silent connection is tried, so that one that is only half open is noticed.
const PING_EVERY: Duration = Duration::from_secs(5);
/// An event of a cluster comes by way of another server, and explains the keys that were touched with it only if it is heard
/// before them.
const EVENT_WITHIN: Duration = Duration::from_millis(50);
/// How often the primaries of a cluster are looked for again after something did not fit.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Listener<'a> {
    pub(crate) node: Arc<Node>,
    pub(crate) nodes: &'a Nodes,
    pub(crate) keys: &'a Keys,
    /// One for all: whoever has it hears the events, which a cluster carries to every server.
    pub(crate) events: &'a Semaphore,
    /// Keys beside the units'.
    pub(crate) tracked: &'a watch::Sender<Arc<Tracked>>,
}

struct Ear<'a> {
    connection: MultiplexedConnection,
    /// How often the place had been left when it was made.
    moves: u64,
    pushes: mpsc::Receiver<PushInfo>,
    tracked: watch::Receiver<Arc<Tracked>>,
    overflown: Arc<AtomicBool>,
    /// Held while this connection hears the events.
    events: Option<SemaphorePermit<'a>>,
}

/// Listens to every primary, as they come and go.
pub(crate) async fn listen(
    nodes: &Nodes,
    keys: &Keys,
    tracked: &watch::Sender<Arc<Tracked>>,
    hear: &(dyn Fn(Notice) + Send + Sync),
) {
    tokio::join!(follow(nodes), listen_to_all(nodes, keys, tracked, hear));
}

async fn listen_to_all(
    nodes: &Nodes,
    keys: &Keys,
    tracked: &watch::Sender<Arc<Tracked>>,
    hear: &(dyn Fn(Notice) + Send + Sync),
) {
    let events = Semaphore::new(1);
    let mut primaries = nodes.primaries();
    primaries.mark_changed();
    let mut listening = FuturesUnordered::new();
    let mut handles: BTreeMap<String, AbortHandle> = BTreeMap::new();
    loop {
        tokio::select! {
            _ = primaries.changed() => {
                let now = primaries.borrow_and_update().clone();
                handles.retain(|name, handle| {
                    let stays = now.iter().any(|node| node.name == *name);
                    if !stays {
                        handle.abort();
                    }
                    stays
                });
                for node in now {
                    if !handles.contains_key(&node.name) {
                        let (handle, registration) = AbortHandle::new_pair();
                        handles.insert(node.name.clone(), handle);
                        let listener = Listener { node, nodes, keys, events: &events, tracked };
                        listening.push(Abortable::new(listener.run(hear), registration));
                    }
                }
            }
            // One whose primary is none any more.
            Some(_) = listening.next() => {}
        }
    }
}

/// Looks for the primary again now and then, and for those of a cluster whenever something did not fit.
async fn follow(nodes: &Nodes) {
    let cluster = match nodes {
        Nodes::Only(_, only) => return only.place.follow().await,
        Nodes::Cluster(cluster) => cluster,
    };
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        // What cannot be found out now is tried again.
        cluster.look_again().await.ok();
    }
}

impl Listener<'_> {
    pub(crate) async fn run(self, hear: &(dyn Fn(Notice) + Send + Sync)) {
        let mut failures = 0_u32;
        loop {
            match self.open().await {
                Ok(ear) => {
                    failures = 0;
                    // Subscribed first, so that nothing falls between what is read now and what is heard from now on.
                    hear(Notice::Listening);
                    let moves = ear.moves;
                    self.hear_all(ear, hear).await;
                    // What broke this connection has likely broken the others: they are made anew before a command finds out.
                    self.node.place.leave(moves);
                    hear(Notice::Deaf);
                    self.suspect();
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(error, "cannot listen to redis; trying again");
                    }
                    self.suspect();
                    failures = failures.saturating_add(1);
                }
            }
            tokio::time::sleep(reconnect_backoff(failures)).await;
        }
    }

    /// Another one may have taken over.
    fn suspect(&self) {
        if let Some(cluster) = self.nodes.cluster() {
            cluster.suspect();
        }
    }

    async fn open(&self) -> Result<Ear<'_>, String> {
        let (sender, pushes) = mpsc::channel(QUEUE);
        let overflown = Arc::new(AtomicBool::new(false));
        let full = Arc::clone(&overflown);
        let config = timeouts().set_push_sender(move |push: PushInfo| {
            sender.try_send(push).or_else(|error| match error {
                mpsc::error::TrySendError::Full(_) => {
                    full.store(true, Ordering::Release);
                    Ok(())
                }
                mpsc::error::TrySendError::Closed(_) => Err(()),
            })
        });
        let (mut connection, moves) = self.node.place.connect(&config).await?;
        let events = self.events.try_acquire().ok();
        if events.is_some() {
            connection.subscribe(self.keys.events()).await.map_err(|error| describe(&error))?;
        }
        let mut tracked = self.tracked.subscribe();
        let now = Arc::clone(&tracked.borrow_and_update());
        self.track(&mut connection, &now).await?;
        Ok(Ear { connection, moves, pushes, tracked, overflown, events })
    }

    /// Asks to be told of all keys of units, and of what else is tracked.
    async fn track(
        &self,
        connection: &mut MultiplexedConnection,
        tracked: &Tracked,
    ) -> Result<(), String> {
        let units = self.keys.units();
        let beginnings = tracked.prefixes.iter().map(String::as_str).chain([units.as_str()]);
        let mut track = redis::cmd("CLIENT");
        track.arg(&["TRACKING", "ON", "BCAST"]);
        for prefix in Tracked::fewest(beginnings) {
            track.arg("PREFIX").arg(prefix);
        }
        let answer = track.query_async::<()>(connection).await;
        if let Err(error) = &answer {
            if error.is_io_error() || error.is_connection_dropped() {
                return Err(describe(error));
            }
            tracing::warn!(
                error = describe(error),
                "redis refuses CLIENT TRACKING: a key deleted by hand is noticed by the slow sweep only"
            );
        }
        Ok(())
    }

    /// Other keys are tracked from now on. What is tracked already cannot be taken back but as a whole.
    async fn track_anew(&self, ear: &mut Ear<'_>) -> Result<(), String> {
        let mut off = redis::cmd("CLIENT");
        off.arg(&["TRACKING", "OFF"]);
        // Where it is refused, so is what follows.
        if let Err(error) = off.query_async::<()>(&mut ear.connection).await
            && (error.is_io_error() || error.is_connection_dropped())
        {
            return Err(describe(&error));
        }
        let now = Arc::clone(&ear.tracked.borrow_and_update());
        self.track(&mut ear.connection, &now).await
    }

    async fn hear_all(&self, mut ear: Ear<'_>, hear: &(dyn Fn(Notice) + Send + Sync)) {
        let mut ping = tokio::time::interval(PING_EVERY);
        let mut held: VecDeque<(Instant, PushInfo)> = VecDeque::new();
        let left = self.node.place.left(ear.moves);
        tokio::pin!(left);
        loop {
            tokio::select! {
                // A demoted primary says nothing of it to whoever only listens.
                () = &mut left => return,
                push = ear.pushes.recv() => match push {
                    None => return,
                    Some(push) if push.kind == PushKind::Disconnection => return,
                    Some(push)
                        if push.kind == PushKind::Invalidate
                            && self.nodes.cluster().is_some()
                            && held.len() < QUEUE =>
                    {
                        held.push_back((Instant::now() + EVENT_WITHIN, push));
                    }
                    Some(push) => self.understand(push, hear),
                },
                () = tokio::time::sleep_until(held.front().map_or_else(Instant::now, |(at, _)| *at)), if !held.is_empty() => {
                    if let Some((_, push)) = held.pop_front() {
                        self.understand(push, hear);
                    }
                }
                // Whoever heard the events until now is gone.
                Ok(events) = self.events.acquire(), if ear.events.is_none() => {
                    if ear.connection.subscribe(self.keys.events()).await.is_err() {
                        return;
                    }
                    ear.events = Some(events);
                    hear(Notice::Listening);
                }
                Ok(()) = ear.tracked.changed() => {
                    if self.track_anew(&mut ear).await.is_err() {
                        return;
                    }
                    // Between the two nothing was heard.
                    hear(Notice::Listening);
                }
                _ = ping.tick() => {
                    let ping = redis::cmd("PING");
                    if ping.query_async::<()>(&mut ear.connection).await.is_err() {
                        return;
                    }
                }
            }
            if ear.overflown.swap(false, Ordering::AcqRel) {
                hear(Notice::Listening);
            }
        }
    }

    /// Whose key this is, and which.
    fn touched(&self, name: &str) -> Option<(Unit, TouchedKey)> {
        let sdk = || Some((self.tracked.borrow().keys.get(name)?.clone(), TouchedKey::Sdk));
        self.keys.unit_of(name).or_else(sdk)
    }

    fn understand(&self, push: PushInfo, hear: &(dyn Fn(Notice) + Send + Sync)) {
        let mut data = push.data.into_iter();
        match push.kind {
            PushKind::Message => {
                if let Some(notice) = data.nth(1).and_then(event) {
                    hear(notice);
                }
            }
            PushKind::Invalidate => match data.next() {
                Some(Value::Array(names)) => {
                    for name in names {
                        let name: Option<String> = redis::from_redis_value(name).ok();
                        if let Some((unit, key)) = name.and_then(|name| self.touched(&name)) {
                            hear(Notice::Touched { unit, key });
                        }
                    }
                }
                // FLUSHALL comes as a null list.
                _ => hear(Notice::Flushed),
            },
            _ => {}
        }
    }
}

fn event(payload: Value) -> Option<Notice> {
    let payload: Vec<u8> = redis::from_redis_value(payload).ok()?;
    let view = View::parse(&payload).ok()?;
    let unit = view.unit()?;
    let observed = Box::new(view.observed());
    Some(Notice::Event { unit, what: view.what, observed })
}

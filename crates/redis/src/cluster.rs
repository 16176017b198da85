//! A Redis Cluster: which primary has which slot, followed through failovers and moves of slots.
//!
//! The client library has a connection to a cluster, which reconnects and repeats commands by itself: a `WAIT` would answer
//! for what another connection wrote. So each primary is a [`Node`] like a server that stands alone, and here is only which.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rand::seq::SliceRandom;
use redis::{RedisResult, Value};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use zhongkong_core::policy::{Random, backoff};
use zhongkong_core::ports::StoreError;

use crate::node::Node;
use crate::place::Place;
use crate::redirect::Redirect;
use crate::reply::strange;
use crate::settings::{Access, RedisAddress};
use crate::slots::{self, Address, SLOTS, slot_of};

/// How often a question may be sent on, or be asked again, before it counts as not answered.
const TURNS: u32 = 12;
/// The wait before a server that cannot answer now is asked again; in all well below a lease.
const LATER_BASE: Duration = Duration::from_millis(20);
const LATER_CAP: Duration = Duration::from_millis(200);
/// Whoever finds the map wrong this soon after it was drawn makes do with it.
const DRAWN_APART: Duration = Duration::from_millis(100);
/// Servers asked for the map at once: one that is stopped must not hold it up.
const ASKED_AT_ONCE: usize = 3;
/// A server that has no slots yet is remembered for as long as slots may be on their way to it.
const GUEST_FOR: Duration = Duration::from_mins(1);

/// The primaries, and who has which slot.
#[derive(Debug)]
pub(crate) struct Cluster {
    access: Arc<Access>,
    /// The servers that are configured; primaries or not.
    seeds: Vec<Arc<Node>>,
    map: RwLock<Map>,
    /// Something did not fit to the map.
    stale: AtomicBool,
    /// When the map was drawn; held while it is.
    drawn_at: Mutex<Option<Instant>>,
    primaries: watch::Sender<Vec<Arc<Node>>>,
}

#[derive(Debug)]
struct Map {
    owners: Vec<Option<Arc<Node>>>,
    primaries: BTreeMap<Address, Arc<Node>>,
    /// Servers that were named by a redirection, and when last.
    guests: BTreeMap<Address, (Instant, Arc<Node>)>,
}

/// The way of one question, from server to server.
#[derive(Debug)]
pub(crate) struct Route<'a> {
    cluster: &'a Cluster,
    slot: u16,
    /// The server that is about to have the key.
    asked: Option<Arc<Node>>,
    turn: u32,
    /// Why it is not answered.
    why: String,
}

impl Cluster {
    /// The cluster to which the servers at `seeds` belong. Nothing is connected yet.
    pub(crate) fn new(access: Arc<Access>, seeds: &[(String, u16)]) -> Self {
        let seed = |(host, port): &(String, u16)| node(&access, &format!("{host}:{port}"));
        let map = Map {
            owners: vec![None; SLOTS.into()],
            primaries: BTreeMap::new(),
            guests: BTreeMap::new(),
        };
        Self {
            seeds: seeds.iter().map(seed).collect(),
            access,
            map: RwLock::new(map),
            stale: AtomicBool::new(true),
            drawn_at: Mutex::new(None),
            primaries: watch::Sender::default(),
        }
    }

    /// The primaries, as they come and go.
    pub(crate) fn primaries(&self) -> watch::Receiver<Vec<Arc<Node>>> {
        self.primaries.subscribe()
    }

    /// The way of something about `key` to the primary that has it.
    pub(crate) fn route(&self, key: &str) -> Route<'_> {
        Route {
            cluster: self,
            slot: slot_of(key),
            asked: None,
            turn: 0,
            why: "sent from server to server".to_owned(),
        }
    }

    /// The primary that has `slot`.
    async fn owner(&self, slot: u16) -> Result<Arc<Node>, StoreError> {
        if self.stale.load(Ordering::Acquire) {
            // One looks again; the others go on with the map that there is.
            if let Ok(drawn_at) = self.drawn_at.try_lock() {
                self.draw(drawn_at).await.ok();
            }
        }
        if let Some(node) = self.known_owner(slot) {
            return Ok(node);
        }
        self.draw(self.drawn_at.lock().await).await?;
        self.known_owner(slot).ok_or_else(|| {
            self.suspect();
            StoreError::Unavailable(format!("no primary has slot {slot}"))
        })
    }

    /// The primary that has `slot`, as far as is known.
    pub(crate) fn known_owner(&self, slot: u16) -> Option<Arc<Node>> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).owners[usize::from(slot)].clone()
    }

    /// Slots that nobody has.
    pub(crate) fn uncovered(&self) -> Option<String> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let slots = (0..SLOTS).filter(|slot| map.owners[usize::from(*slot)].is_none());
        Some(slots::in_words(slots)).filter(|slots| !slots.is_empty())
    }

    /// Something did not fit to the map: it is drawn again before it is used again.
    pub(crate) fn suspect(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// `slot` is at `address`, says whoever had it.
    pub(crate) fn moved(&self, slot: u16, address: &str) {
        let node = self.guest(address);
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        map.owners[usize::from(slot)] = Some(node);
        drop(map);
        self.suspect();
    }

    /// The server at `address`, to which somebody was sent on.
    fn guest(&self, address: &str) -> Arc<Node> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = map.primaries.get(address) {
            return Arc::clone(known);
        }
        let now = Instant::now();
        if let Some((last, known)) = map.guests.get_mut(address) {
            *last = now;
            return Arc::clone(known);
        }
        let node = node(&self.access, address);
        map.guests.insert(address.to_owned(), (now, Arc::clone(&node)));
        node
    }

    /// Draws the map anew if something did not fit to it, or it was never drawn.
    pub(crate) async fn look_again(&self) -> Result<(), StoreError> {
        if self.stale.load(Ordering::Acquire) {
            self.look().await?;
        }
        Ok(())
    }

    /// Draws the map anew.
    pub(crate) async fn look(&self) -> Result<(), StoreError> {
        self.draw(self.drawn_at.lock().await).await
    }

    /// Draws the map, unless that was just done: whoever waited for the lock shares what came of it.
    async fn draw(
        &self,
        mut drawn_at: tokio::sync::MutexGuard<'_, Option<Instant>>,
    ) -> Result<(), StoreError> {
        if drawn_at.is_some_and(|at| at.elapsed() < DRAWN_APART) {
            return Ok(());
        }
        // What does not fit from now on is not this map's fault.
        self.stale.store(false, Ordering::Release);
        let mut known: Vec<Arc<Node>> = {
            let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
            map.primaries.values().cloned().collect()
        };
        known.shuffle(&mut rand::rng());
        known.extend(self.seeds.iter().cloned());
        let mut last = StoreError::Unavailable("no server is configured".to_owned());
        for some in known.chunks(ASKED_AT_ONCE) {
            let mut asked: FuturesUnordered<_> = some.iter().map(|node| ranges(node)).collect();
            while let Some(answer) = asked.next().await {
                match answer {
                    Ok(ranges) => {
                        *drawn_at = Some(Instant::now());
                        self.enter(ranges);
                        return Ok(());
                    }
                    Err(error) => last = error,
                }
            }
        }
        self.suspect();
        Err(last)
    }

    /// Takes in who has which slots.
    fn enter(&self, ranges: Vec<slots::Range>) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let mut known = std::mem::take(&mut map.primaries);
        let before: BTreeSet<Address> = known.keys().cloned().collect();
        known.extend(
            map.guests.iter().map(|(address, (_, node))| (address.clone(), Arc::clone(node))),
        );
        map.guests.retain(|_, (last, _)| last.elapsed() < GUEST_FOR);
        map.owners.fill(None);
        for slots::Range { slots, primary } in ranges {
            let new = || node(&self.access, &primary);
            let node = known.get(&primary).map_or_else(new, Arc::clone);
            known.insert(primary.clone(), Arc::clone(&node));
            for slot in slots {
                map.owners[usize::from(slot)] = Some(Arc::clone(&node));
            }
            map.primaries.insert(primary, node);
        }
        if !map.primaries.keys().eq(&before) {
            tracing::debug!(primaries = ?map.primaries.keys(), "the primaries of the cluster are others");
            self.primaries.send_replace(map.primaries.values().cloned().collect());
        }
    }
}

impl Route<'_> {
    /// Where it is to be sent, and whether that server is only about to have the key.
    pub(crate) async fn next(&mut self) -> Result<(Arc<Node>, bool), StoreError> {
        match self.asked.take() {
            Some(node) => Ok((node, true)),
            None => Ok((self.cluster.owner(self.slot).await?, false)),
        }
    }

    /// What `node` said to it; none if it is to be sent once more.
    pub(crate) async fn take(
        &mut self,
        node: &Node,
        sent: Result<Vec<RedisResult<Value>>, StoreError>,
    ) -> Result<Option<Vec<RedisResult<Value>>>, StoreError> {
        let results = match sent {
            Ok(results) => results,
            Err(error) => {
                // Another one may have taken over.
                self.cluster.suspect();
                return Err(error);
            }
        };
        let Some(redirect) = Redirect::of(&results, &node.name) else { return Ok(Some(results)) };
        if self.turn >= TURNS {
            let (slot, why) = (self.slot, &self.why);
            return Err(StoreError::Unavailable(format!("slot {slot} at {}: {why}", node.name)));
        }
        match redirect {
            Redirect::Moved(to) => self.cluster.moved(self.slot, &to),
            Redirect::Ask(to) => self.asked = Some(self.cluster.guest(&to)),
            Redirect::Later(why) => {
                self.why = why;
                self.cluster.suspect();
                let random = Random::new(rand::random());
                tokio::time::sleep(backoff(LATER_BASE, LATER_CAP, self.turn / 2, random)).await;
            }
        }
        self.turn += 1;
        Ok(None)
    }
}

fn node(access: &Arc<Access>, address: &str) -> Arc<Node> {
    // Whatever made the address put the port there.
    let (host, port) = slots::parts(address).unwrap_or((address, 0));
    let place = Place::server(Arc::clone(access), RedisAddress::Tcp(host.to_owned(), port));
    Arc::new(Node::new(place, address.to_owned()))
}

async fn ranges(node: &Node) -> Result<Vec<slots::Range>, StoreError> {
    let mut slots = redis::cmd("CLUSTER");
    slots.arg("SLOTS");
    let answer = node.commands.ask("slots", slots).await?;
    slots::ranges(answer, &node.name).ok_or_else(|| strange("slots of another form"))
}

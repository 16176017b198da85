//! A world: the nodes of Redis with the core's own state, the workers, the upstream, and what may still go wrong.

use zhongkong_core::life::{Alive, Known};
use zhongkong_core::outlook::Viewer;
use zhongkong_core::recollection::Recollection;
use zhongkong_core::state::{Memory, State};

use crate::bounds::{Budget, Protocol};
use crate::happened::Happened;
use crate::names;
use crate::stranger::Stranger;
use crate::switch::Switch;
use crate::time::{NOW_US, TICK_MS, TICK_US, pass, pass_fence};
use crate::upstream::Upstream;

/// Everything that there is.
#[derive(Clone, Debug)]
pub struct World {
    /// Two nodes of Redis: one is the primary, the other its replica, or the primary of before.
    pub nodes: [Node; 2],
    /// Which of them is the primary.
    pub primary: usize,
    /// The other one goes on serving those that are connected to it, and is no replica.
    pub split: bool,
    /// The other one has copied the primary since it became a replica.
    pub synced: bool,
    /// The workers.
    pub workers: Vec<Hand>,
    /// The upstream.
    pub upstream: Upstream,
    /// What may still go wrong.
    pub left: Budget,
    /// A token that somebody else fetched, until the cluster has looked into it.
    pub stranger: Option<Stranger>,
    /// What a reader keeps for a tick: the token, and how long ago it was read.
    pub copy: Option<(u8, u8)>,
    /// Promises of the protocol that the last step broke.
    pub broken: Broken,
    /// What happened in the last step; not part of what the world is.
    pub happened: Happened,
    /// The workers' names, which do not move when workers are put in order; not part of what the world is.
    pub called: [u8; 3],
}

/// One node of Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The unit's state.
    pub state: State,
    /// The reader's key holds the state's token.
    pub published: bool,
    /// The epoch that a script on this node reads.
    pub epoch: u8,
}

/// A worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hand {
    /// Where it is in a refresh.
    pub phase: Phase,
    /// It is connected to the primary of before.
    pub astray: bool,
    /// What it remembers of the unit (rule R7).
    pub recollection: Recollection,
    /// The token of which it knows the life: its fence, and the ticks that are left.
    pub witness: Option<(u64, u8)>,
}

/// Where a worker is in a refresh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// In none.
    #[default]
    Idle,
    /// It claimed, and heard no answer.
    Asking {
        /// The claim's nonce.
        nonce: u8,
        /// Ticks since the claim was first sent.
        age: u8,
        /// The epoch that it knew then.
        epoch: u8,
    },
    /// It has a claim, and has sent nothing.
    Held {
        /// The claim.
        claim: Claim,
        /// Ticks since the claim was first sent.
        age: u8,
        /// A replica has the claim.
        acknowledged: bool,
        /// It has looked at the deadline for the last time.
        checked: bool,
    },
    /// Its request is out.
    Sent {
        /// The claim.
        claim: Claim,
        /// Ticks since it was sent.
        age: u8,
    },
    /// The reply has come, or is on its way.
    Answered {
        /// The claim.
        claim: Claim,
        /// Ticks since the request was sent.
        age: u8,
        /// The token.
        token: u8,
        /// The ticks that the upstream said it lives.
        life: u8,
    },
}

/// A claim that a worker was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its number.
    pub fence: u64,
    /// Its nonce.
    pub nonce: u8,
    /// The epoch in which it was made.
    pub epoch: u8,
}

/// Promises that a single step can break.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Broken {
    /// A claim was granted under a fence that somebody else goes by.
    pub reused: bool,
    /// The fence of the token in Redis went back, within one life of the data.
    pub went_back: bool,
    /// The token that is published was called late.
    pub needless: bool,
}

impl World {
    /// The node that worker `w` talks to.
    pub const fn node_of(&self, w: usize) -> usize {
        if self.workers_astray(w) { 1 - self.primary } else { self.primary }
    }

    const fn workers_astray(&self, w: usize) -> bool {
        self.split && self.workers.as_slice()[w].astray
    }

    /// The primary's state.
    pub const fn state(&self) -> &State {
        &self.nodes[self.primary].state
    }

    /// Whether no request is under way and no worker in the middle of a refresh, or astray.
    pub fn is_quiet(&self) -> bool {
        self.upstream.requests.is_empty()
            && self.workers.iter().all(|w| w.phase == Phase::Idle && !(self.split && w.astray))
    }

    /// Whether any replica or old primary matters still.
    pub const fn other(&self) -> usize {
        1 - self.primary
    }

    /// Worker `w` as the core sees it, on the node that it talks to.
    pub fn viewer(&self, w: usize, protocol: &Protocol) -> Viewer {
        let blind = protocol.lacks(Switch::Epoch);
        let mut memory = self.workers[w].recollection.memory.clone();
        if protocol.lacks(Switch::OwnClaim) {
            memory.own = None;
        }
        Viewer {
            identity: names::worker(w).identity.clone(),
            configuration: "c".to_owned(),
            epoch: if blind {
                String::new()
            } else {
                names::text(self.nodes[self.node_of(w)].epoch)
            },
            memory: if blind { Memory::default() } else { memory },
        }
    }

    /// What worker `w` knows of the token's life by its own clock.
    pub fn alive(&self, w: usize) -> Option<Alive> {
        let (token_fence, ticks) = self.workers[w].witness?;
        let for_ms = u64::from(ticks) * TICK_MS;
        Some(Alive { token_fence, for_ms, known: Known::Exactly })
    }

    /// The store's time in microseconds: it moves on between two claims, even within a tick.
    pub fn time_us(&mut self) -> u64 {
        let this_ms = NOW_US..NOW_US + 1_000;
        let mut latest = NOW_US;
        self.fences(|fence| {
            if this_ms.contains(fence) {
                latest = latest.max(*fence + 1);
            }
        });
        latest
    }

    /// Shows every fence of the world to `look`.
    pub fn fences(&mut self, mut look: impl FnMut(&mut u64)) {
        for node in &mut self.nodes {
            look(&mut node.state.fence);
            look(&mut node.state.token_fence);
        }
        for worker in &mut self.workers {
            look(&mut worker.recollection.memory.remembered);
            look(&mut worker.recollection.own_below);
            if let Some(own) = &mut worker.recollection.memory.own {
                look(&mut own.fence);
            }
            if let Some((fence, _)) = &mut worker.witness {
                look(fence);
            }
            if let Phase::Held { claim, .. }
            | Phase::Sent { claim, .. }
            | Phase::Answered { claim, .. } = &mut worker.phase
            {
                look(&mut claim.fence);
            }
        }
    }

    /// Moves the store's clock `ticks` ahead; back if negative.
    pub fn move_clock(&mut self, ticks: i64) {
        for node in &mut self.nodes {
            pass(&mut node.state, ticks);
        }
        self.fences(|fence| pass_fence(fence, ticks));
    }

    /// A number that no token of the world has.
    pub fn fresh_token(&self) -> u8 {
        let published = self.nodes.iter().flat_map(|node| {
            let State { fingerprint, reported, .. } = &node.state;
            [names::token_id(fingerprint.as_ref()), names::token_id(reported.as_ref())]
        });
        let answered = self.workers.iter().map(|worker| match worker.phase {
            Phase::Answered { token, .. } => token,
            _ => 0,
        });
        let honoured = [self.upstream.newest, self.upstream.previous.map_or(0, |p| p.token)];
        let copied = self.copy.map_or(0, |(token, _)| token);
        let found = self.stranger.map_or([0; 2], |stranger| [stranger.token, stranger.over()]);
        names::fresh(published.chain(answered).chain(honoured).chain([copied]).chain(found))
    }

    /// A number that no nonce of the world has.
    pub fn fresh_nonce(&self) -> u8 {
        let made = self.nodes.iter().map(|node| names::number(&node.state.nonce));
        let known = self.workers.iter().flat_map(|worker| {
            let own = worker.recollection.memory.own.as_ref();
            let own = own.map_or(0, |own| names::number(&own.nonce));
            let held = match worker.phase {
                Phase::Idle => 0,
                Phase::Asking { nonce, .. } => nonce,
                Phase::Held { claim, .. }
                | Phase::Sent { claim, .. }
                | Phase::Answered { claim, .. } => claim.nonce,
            };
            [own, held]
        });
        names::fresh(made.chain(known))
    }

    /// A number that no epoch of the world has.
    pub fn fresh_epoch(&self) -> u8 {
        let nodes = self.nodes.iter();
        let noted = nodes.flat_map(|node| [node.epoch, names::number(&node.state.epoch)]);
        let known = self.workers.iter().flat_map(|worker| {
            let own = worker.recollection.memory.own.as_ref();
            let own = own.map_or(0, |own| names::number(&own.epoch));
            let held = match worker.phase {
                Phase::Idle => 0,
                Phase::Asking { epoch, .. } => epoch,
                Phase::Held { claim, .. }
                | Phase::Sent { claim, .. }
                | Phase::Answered { claim, .. } => claim.epoch,
            };
            [own, held]
        });
        names::fresh(noted.chain(known))
    }

    /// Whether a fence is one that a claim of another nonce goes by, in a worker's hands or in a node.
    pub fn goes_by(&self, fence: u64, nonce: u8) -> bool {
        // What a primary knew that is gone is known to nobody.
        let known = |i: &usize| *i == self.primary || self.split || self.synced;
        let nodes = (0..2).filter(known).map(|i| &self.nodes[i].state);
        let mut published = nodes.map(|state| (state.fence, names::number(&state.nonce)));
        let mut held = self.workers.iter().filter_map(|worker| match worker.phase {
            Phase::Held { claim, .. }
            | Phase::Sent { claim, .. }
            | Phase::Answered { claim, .. } => Some((claim.fence, claim.nonce)),
            Phase::Idle | Phase::Asking { .. } => None,
        });
        let other = |(used, by): (u64, u8)| used == fence && by != nonce;
        published.any(other) || held.any(other)
    }
}

/// How far a fence lies from the store's time, in whole ticks.
pub const fn fence_ticks(fence: u64) -> i64 {
    (fence.cast_signed() - NOW_US.cast_signed()).div_euclid(TICK_US.cast_signed())
}

//! Somebody outside of the cluster, who fetches a token and may write it to the key of an SDK.

use zhongkong_core::adopt::{AdoptAnswer, AdoptRequest};
use zhongkong_core::outlook::Viewer;

use crate::bounds::{Bounds, Fault, Protocol};
use crate::happened::Happened;
use crate::names;
use crate::switch::Switch;
use crate::time::{NOW_MS, TICK_MS};
use crate::world::World;

/// A token that somebody else fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// The token.
    pub token: u8,
    /// How far the cluster has come with it.
    pub stage: Stage,
}

/// How far the cluster has come with a token of somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is in the hands of whoever fetched it.
    Fetched,
    /// It stands at the key of an SDK.
    Written {
        /// The token that stood there before.
        over: u8,
    },
    /// A worker found it there, and the upstream accepted it.
    Tried {
        /// The token that stood there before.
        over: u8,
        /// How many ticks ago; more than count are as many as count.
        age: u8,
    },
}

impl Stranger {
    /// The token over which it was written; 0 if it was not yet.
    pub const fn over(&self) -> u8 {
        match self.stage {
            Stage::Fetched => 0,
            Stage::Written { over } | Stage::Tried { over, .. } => over,
        }
    }

    /// One tick passes.
    pub(crate) const fn pass(&mut self, bounds: &Bounds) {
        if let Stage::Tried { age, .. } = &mut self.stage
            && *age < bounds.found_counts()
        {
            *age += 1;
        }
    }
}

impl World {
    pub(crate) fn fetches_outside(&mut self, protocol: &Protocol) {
        self.left.spend(Fault::Foreign);
        let token = self.fresh_token();
        self.upstream.issue(token);
        if protocol.bounds.adopts {
            self.stranger = Some(Stranger { token, stage: Stage::Fetched });
        }
    }

    pub(crate) fn writes_outside(&mut self) {
        let over = names::token_id(self.state().fingerprint.as_ref());
        if let Some(stranger) = &mut self.stranger {
            stranger.stage = Stage::Written { over };
        }
    }

    /// What the upstream rejects is of no concern.
    pub(crate) fn tries_what_it_found(&mut self) {
        self.stranger = self.stranger.filter(|stranger| self.upstream.honours(stranger.token));
        if let Some(stranger) = &mut self.stranger {
            stranger.stage = Stage::Tried { over: stranger.over(), age: 0 };
        }
    }

    pub(crate) fn adopts(&mut self, protocol: &Protocol, w: usize) {
        let epoch = self.nodes[self.node_of(w)].epoch;
        self.adopt(protocol, w);
        self.sees(w, epoch);
    }

    /// Worker `w` adopts the token that it found and tried.
    fn adopt(&mut self, protocol: &Protocol, w: usize) {
        let Some(Stranger { token, stage: Stage::Tried { over, age } }) = self.stranger.take()
        else {
            return;
        };
        let Viewer { epoch, memory, .. } = self.viewer(w, protocol);
        let nonce = self.fresh_nonce();
        let request = AdoptRequest {
            nonce: names::text(nonce),
            token: names::token(token).clone(),
            over: names::fingerprint(over).clone(),
            layout: String::new(),
            found_at_ms: NOW_MS - u64::from(age) * TICK_MS,
            epoch,
            remembered: memory.remembered,
            rules: protocol.rules,
        };
        let time_us = self.time_us();
        let node = self.node_of(w);
        let before = self.nodes[node].state.clone();
        let mut after = before.clone();
        let answer = after.adopt(time_us, &request);
        match answer {
            AdoptAnswer::Adopted { fence, .. } => {
                self.broken.reused |= self.goes_by(fence, nonce);
                self.broken.went_back |= after.token_fence < before.token_fence;
                self.nodes[node].published = true;
                let sure = after.unsure_from_ms == 0;
                self.happened.add(if sure { Happened::ADOPTED_SURE } else { Happened::ADOPTED });
            }
            AdoptAnswer::Doubted => self.happened.add(Happened::NOT_ADOPTED),
            AdoptAnswer::Superseded => self.happened.add(Happened::SUPERSEDED),
            AdoptAnswer::Known => {}
        }
        // Every instant is a whole tick: a mark is served with the tick in which it may be.
        after.rejected_from_ms -= after.rejected_from_ms % TICK_MS;
        if protocol.lacks(Switch::Stranger) {
            after.doubt = before.doubt.clone();
            after.rejected = before.rejected;
        }
        if protocol.lacks(Switch::StrangersLife) {
            after.unknowns = before.unknowns;
            after.unknowns_before = before.unknowns_before;
            after.unsure_from_ms = before.unsure_from_ms;
        }
        self.nodes[node].state = after;
        self.settle_switches(protocol, node, &before);
    }
}

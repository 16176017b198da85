//! The nodes of Redis: the core's transitions, with the rule that a model lacks taken away around them.

use zhongkong_core::abandon::{AbandonAnswer, AbandonRequest, Outcome};
use zhongkong_core::claim::{ClaimAnswer, ClaimRequest};
use zhongkong_core::commit::{CommitAnswer, CommitRequest};
use zhongkong_core::doubt::{Doubt, Doubts};
use zhongkong_core::refusal::{Scope, Status};
use zhongkong_core::report::{Evidence, ReportAnswer, ReportRequest};
use zhongkong_core::state::State;

use crate::bounds::{Fault, Protocol};
use crate::happened::Happened;
use crate::names;
use crate::switch::Switch;
use crate::time::{NOW_MS, NOW_US, TICK_MS};
use crate::world::{Claim, World};

/// How a claim ended without a token, as far as the model tells outcomes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing was sent.
    NotSent,
    /// The upstream refused, to this worker alone.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl World {
    /// Worker `w` claims, or repeats a claim, under `nonce`.
    pub fn claim(&mut self, protocol: &Protocol, w: usize, nonce: u8) -> ClaimAnswer {
        let request = ClaimRequest {
            worker: names::worker(w).clone(),
            nonce: names::text(nonce),
            viewer: self.viewer(w, protocol),
            rules: protocol.rules,
            alive: self.alive(w),
        };
        let time_us = self.time_us();
        let node = self.node_of(w);
        let before = self.nodes[node].state.clone();
        let state = &mut self.nodes[node].state;
        if protocol.lacks(Switch::Intent) && state.holder_is_dead(NOW_MS) {
            state.intent = false;
        }
        if protocol.lacks(Switch::Repeatable) && state.nonce == request.nonce {
            state.nonce.clear();
        }
        let mut answer = state.claim(time_us, &request);
        if let ClaimAnswer::Claimed { fence, raised, .. } = &mut answer {
            let anew = before.nonce != request.nonce || protocol.lacks(Switch::Repeatable);
            if anew {
                if protocol.lacks(Switch::Clock) {
                    state.fence = before.fence + 1;
                    *fence = state.fence;
                }
                if protocol.lacks(Switch::LostHistory) {
                    let dead = before.holder_is_dead(NOW_MS);
                    state.unknowns = before.unknowns + u32::from(dead);
                }
                let fence = *fence;
                self.left.spend(Fault::Claim);
                self.happened.add(Happened::CLAIMED);
                self.happened.raised(raised);
                let state = std::mem::take(&mut self.nodes[node].state);
                self.nodes[node].state = before.clone();
                self.broken.reused |= self.goes_by(fence, nonce);
                self.nodes[node].state = state;
            } else {
                self.happened.add(Happened::REPEATED);
            }
        } else if !matches!(answer, ClaimAnswer::Claimed { .. })
            && self.nodes[node].state.nonce.is_empty()
        {
            self.nodes[node].state.nonce.clone_from(&before.nonce);
        }
        self.settle_switches(protocol, node, &before);
        answer
    }

    /// Worker `w` commits a token, which the upstream said to live so many ticks, of a request sent `age` ticks ago.
    pub fn commit(
        &mut self,
        protocol: &Protocol,
        w: usize,
        claim: Claim,
        (token, life): (u8, u8),
        age: u8,
    ) -> CommitAnswer {
        let node = self.node_of(w);
        let before = self.nodes[node].state.clone();
        let nonce = names::text(claim.nonce);
        let request = CommitRequest {
            fence: claim.fence,
            nonce,
            token: names::token(token).clone(),
            age_ms: u64::from(age) * TICK_MS,
            life_ms: protocol.life_ms(life),
            ahead_ms: protocol.ahead_ms(life),
            assumed: false,
            spacing_ms: protocol.rules.spacing_ms,
            idempotent: protocol.rules.nature.is_idempotent(),
        };
        let epoch = names::text(self.nodes[node].epoch);
        let state = &mut self.nodes[node].state;
        let own = state.fence == request.fence && state.nonce == request.nonce;
        if protocol.lacks(Switch::Drain) && own && state.intent {
            state.drained = true;
        }
        if protocol.lacks(Switch::Fence) && !own {
            state.fence = request.fence;
            state.nonce.clone_from(&request.nonce);
            state.intent = true;
        }
        let published_already = state.fingerprint.as_ref() == Some(names::fingerprint(token));
        let mut answer = state.commit(NOW_MS, &request);
        if protocol.lacks(Switch::Repeatable) && own && !before.intent {
            let drain_ms = state.drain_ms;
            raise(state, Doubt::Late, NOW_MS, drain_ms);
            answer = CommitAnswer::Fenced;
        }
        match answer {
            CommitAnswer::Committed { changed, .. } => {
                if protocol.lacks(Switch::Fence) && !own {
                    state.fence = before.fence;
                    state.nonce.clone_from(&before.nonce);
                    state.intent = before.intent;
                }
                if protocol.lacks(Switch::CommitNotesEpoch) {
                    state.epoch = epoch;
                }
                if protocol.lacks(Switch::Before) {
                    state.unknowns_before = 0;
                    state.unsure_from_ms = 0;
                }
                let happened = match (before.doubt.is_empty(), state.doubt.is_empty()) {
                    (false, true) => Happened::CLEARED,
                    (_, false) => Happened::PROVISIONAL,
                    (true, true) => Happened::CLEAN,
                };
                self.happened.add(happened);
                self.happened.add(if changed { 0 } else { Happened::SAME_TOKEN });
                self.broken.went_back |= state.token_fence < before.token_fence;
                self.nodes[node].published = true;
            }
            CommitAnswer::Fenced => {
                self.happened.add(Happened::FENCED);
                self.broken.needless |= published_already && own;
                if protocol.lacks(Switch::Late) {
                    *state = before.clone();
                }
            }
        }
        self.settle_switches(protocol, node, &before);
        answer
    }

    /// Worker `w` records that `claim` brought no token.
    pub fn abandon(&mut self, protocol: &Protocol, w: usize, claim: Claim, ended: Ended) {
        let why = String::new();
        let outcome = match ended {
            Ended::Unknown if protocol.lacks(Switch::Unknown) => {
                Outcome::NotSent { why, retry_in_ms: 0 }
            }
            Ended::Unknown => Outcome::Unknown { why, retry_in_ms: 0 },
            Ended::NotSent => Outcome::NotSent { why, retry_in_ms: 0 },
            Ended::Refused => Outcome::Refused {
                scope: Scope::Worker,
                status: Status::IpNotAllowed,
                code: 40164,
                message: why,
                retry_in_ms: TICK_MS,
            },
        };
        let node = self.node_of(w);
        let before = self.nodes[node].state.clone();
        let mut nonce = names::text(claim.nonce);
        let mut fence = claim.fence;
        let state = &mut self.nodes[node].state;
        if protocol.lacks(Switch::OwnIntent) && ended == Ended::NotSent {
            (fence, nonce) = (state.fence, state.nonce.clone());
        }
        let request = AbandonRequest { fence, nonce, drain_ms: protocol.rules.drain_ms, outcome };
        match (state.abandon(NOW_MS, &request), ended) {
            (AbandonAnswer::Recorded, Ended::Unknown) => self.happened.add(Happened::UNKNOWN),
            (AbandonAnswer::Recorded, Ended::Refused) => self.happened.add(Happened::REFUSED),
            (AbandonAnswer::Recorded, Ended::NotSent) => self.happened.add(Happened::NOT_SENT),
            (AbandonAnswer::Late, _) => {
                if ended == Ended::Unknown {
                    self.happened.add(Happened::LATE_UNKNOWN);
                }
                if protocol.lacks(Switch::Late) {
                    *state = before.clone();
                }
            }
        }
        self.settle_switches(protocol, node, &before);
    }

    /// A reader, or the probe, says that the primary's token is rejected.
    pub fn report(&mut self, protocol: &Protocol, evidence: Evidence) -> Option<ReportAnswer> {
        let epoch = names::text(self.nodes[self.primary].epoch);
        let node = self.primary;
        let before = self.nodes[node].state.clone();
        let state = &mut self.nodes[node].state;
        let request = ReportRequest {
            fingerprint: state.fingerprint.clone()?,
            evidence,
            spacing_ms: protocol.rules.spacing_ms,
            budget: 100,
            epoch: if protocol.lacks(Switch::Epoch) { String::new() } else { epoch },
            again: false,
        };
        let answer = state.report(NOW_MS, &request);
        if matches!(answer, ReportAnswer::Marked { .. }) {
            self.happened.add(Happened::MARKED);
        }
        self.settle_switches(protocol, node, &before);
        Some(answer)
    }

    /// Takes away what rules left behind that are about the state and not about one transition.
    pub(crate) fn settle_switches(&mut self, protocol: &Protocol, node: usize, before: &State) {
        let state = &mut self.nodes[node].state;
        if protocol.lacks(Switch::Note) && before.drained && before.fence == state.fence {
            state.drained |= state.intent;
        }
        if protocol.lacks(Switch::SureLife) {
            state.unknowns = 0;
            state.unknowns_before = 0;
            state.unsure_from_ms = 0;
        }
        debug_assert!(state.fence < NOW_US * 2, "a fence is a time");
    }
}

/// Raises a doubt as the core does; only for what happens in the place of a rule.
fn raise(state: &mut State, doubt: Doubt, drains_at_ms: u64, drain_ms: u64) {
    state.doubt = state.doubt.iter().chain([doubt]).collect::<Doubts>();
    state.drains_at_ms = state.drains_at_ms.max(drains_at_ms);
    state.drain_ms = state.drain_ms.max(drain_ms);
    state.drained = false;
}

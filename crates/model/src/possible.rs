//! What can happen in a world: a cheap look before anything is done.

use crate::action::Action;
use crate::bounds::{Fault, Protocol};
use crate::names;
use crate::stranger::Stage;
use crate::switch::Switch;
use crate::time::NOW_MS;
use crate::world::{Phase, World};

impl World {
    /// Whether `action` can happen at all; it may change nothing.
    pub(crate) fn allows(&self, protocol: &Protocol, action: Action) -> bool {
        let phase = |w: usize| &self.workers[w].phase;
        let left = &self.left;
        let (serves_two, prompt) = (self.split, protocol.bounds.prompt);
        match action {
            Action::Tick => !prompt || self.is_quiet(),
            Action::Claim(w) => *phase(w) == Phase::Idle && left.allows(Fault::Claim),
            Action::ClaimUnheard(w) => {
                *phase(w) == Phase::Idle
                    && left.allows(Fault::LostReply)
                    && left.allows(Fault::Claim)
            }
            Action::Repeat(w) | Action::GiveUp(w) => matches!(phase(w), Phase::Asking { .. }),
            Action::Check(w) => {
                left.allows(Fault::Stall) && self.may_send(protocol, w) && {
                    matches!(phase(w), Phase::Held { checked: false, .. })
                }
            }
            Action::Send(w) => {
                self.may_send(protocol, w)
                    && self.upstream.requests.len() < protocol.bounds.requests
            }
            Action::NotSent(w) => matches!(phase(w), Phase::Held { .. }),
            Action::Process(i) => i < self.upstream.requests.len(),
            Action::Refuse(i) => {
                left.allows(Fault::Refusal)
                    && self.upstream.requests.get(i).is_some_and(|r| r.waiter.is_some())
            }
            Action::Timeout(w) => {
                !prompt && matches!(phase(w), Phase::Sent { .. } | Phase::Answered { .. })
            }
            Action::Commit(w) => matches!(phase(w), Phase::Answered { .. }),
            Action::CommitUnheard(w) => {
                matches!(phase(w), Phase::Answered { .. }) && left.allows(Fault::LostReply)
            }
            Action::Hear(w) => *phase(w) == Phase::Idle && !protocol.lacks(Switch::Epoch),
            Action::Crash(w) => {
                left.allows(Fault::Crash)
                    && (*phase(w) != Phase::Idle
                        || self.workers[w].recollection.memory.own.is_some())
            }
            Action::Replay(_) => left.allows(Fault::Replay),
            Action::Replicate => !serves_two && protocol.has_replica(),
            Action::Failover => left.allows(Fault::Failover) && !serves_two && self.synced,
            Action::SplitBrain => left.allows(Fault::SplitBrain) && !serves_two && self.synced,
            Action::Meet(w) => serves_two && self.workers[w].astray,
            Action::Demote => serves_two,
            Action::Wipe => left.allows(Fault::Wipe) && self.state().exists(),
            Action::ClockBack => left.allows(Fault::ClockBack),
            Action::ClockForward => left.allows(Fault::ClockForward),
            Action::Report | Action::ReportUnchecked => left.allows(Fault::Report),
            Action::Probe => {
                protocol.bounds.probes
                    && !self.upstream.honours(names::token_id(self.state().fingerprint.as_ref()))
            }
            Action::Force => left.allows(Fault::Force),
            Action::Evict => left.allows(Fault::Evict) && self.nodes[self.primary].published,
            Action::Keep(_) => !protocol.lacks(Switch::Keep) && !self.nodes[self.primary].published,
            // One after the other: what is not looked into yet is known to nobody.
            Action::Foreign => left.allows(Fault::Foreign) && self.stranger.is_none(),
            Action::Write => self.stranger.is_some_and(|s| s.stage == Stage::Fetched),
            Action::Try => self.stranger.is_some_and(|s| matches!(s.stage, Stage::Written { .. })),
            Action::Adopt(_) => {
                self.stranger.is_some_and(|s| matches!(s.stage, Stage::Tried { .. }))
            }
            Action::Read => protocol.bounds.reader && self.readable().is_some(),
        }
    }

    /// The token that a reader finds now.
    pub fn readable(&self) -> Option<u8> {
        let node = &self.nodes[self.primary];
        (node.published && node.state.usable(NOW_MS))
            .then(|| names::token_id(node.state.fingerprint.as_ref()))
    }

    /// Whether worker `w` may send its request: in time, and if need be with a replica's word (rules R6, R10).
    fn may_send(&self, protocol: &Protocol, w: usize) -> bool {
        let Phase::Held { age, acknowledged, checked, .. } = self.workers[w].phase else {
            return false;
        };
        let protected =
            acknowledged || !protocol.bounds.waits || protocol.lacks(Switch::WriteAhead);
        (checked || protocol.may_send(age)) && protected
    }
}

//! Reading a world back.

use zhongkong_core::doubt::Doubts;
use zhongkong_core::recollection::Recollection;
use zhongkong_core::refusal::{Refusal, Scope, Status};
use zhongkong_core::state::{Mark, Memory, OwnClaim, State};

use super::fences::Fences;
use super::{DOUBTS, Packed};
use crate::bounds::{Budget, Protocol};
use crate::names;
use crate::stranger::{Stage, Stranger};
use crate::time::{NOW_MS, TICK_MS};
use crate::upstream::{Previous, Request, Upstream};
use crate::world::{Broken, Claim, Hand, Node, Phase, World};

pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) protocol: &'a Protocol,
}

impl Reader<'_> {
    fn take(&mut self) -> u8 {
        self.at += 1;
        self.bytes[self.at - 1]
    }

    fn flags<const N: usize>(&mut self) -> [bool; N] {
        let byte = self.take();
        std::array::from_fn(|i| byte >> (N - 1 - i) & 1 == 1)
    }

    fn pair(&mut self) -> u16 {
        u16::from_be_bytes([self.take(), self.take()])
    }

    fn fence(&mut self) -> u64 {
        Fences::fence(self.pair())
    }

    fn instant(&mut self) -> u64 {
        match self.take() {
            0 => 0,
            code => NOW_MS.saturating_add_signed((i64::from(code) - 128) * TICK_MS.cast_signed()),
        }
    }

    fn text(&mut self) -> String {
        names::text(self.take())
    }

    pub(super) fn world(mut self, packed: &Packed) -> World {
        let left = Budget::from_bytes(&self.bytes[..Budget::NONE.bytes().len()]);
        self.at = left.bytes().len();
        let [second, split, synced, same, reused, went_back, needless] = self.flags();
        let primary = usize::from(second);
        let newest = self.take();
        let newest_age = self.take();
        let before = Previous { token: self.take(), age: self.take(), replaced: self.take() };
        let first = self.node(true);
        let mut other = self.node(!same);
        if same {
            other = Node { epoch: other.epoch, ..first.clone() };
        }
        let nodes = if second { [other, first] } else { [first, other] };
        let copy = (self.take(), self.take());
        let stranger = self.stranger();
        let requests = (0..self.take()).map(|i| {
            let (age, waiter) = (self.take(), self.take());
            let sender = packed.senders[usize::from(i.min(3))];
            Request { age, waiter: waiter.checked_sub(1), sender }
        });
        let requests = requests.collect();
        let previous = (before.token > 0).then_some(before);
        let workers = (0..self.take()).map(|_| self.hand()).collect();
        World {
            nodes,
            primary,
            split,
            synced,
            workers,
            upstream: Upstream { newest, newest_age, previous, requests },
            left,
            stranger,
            copy: (copy.0 > 0).then_some(copy),
            broken: Broken { reused, went_back, needless },
            happened: packed.happened,
            called: packed.called,
        }
    }

    fn stranger(&mut self) -> Option<Stranger> {
        let stage = self.take();
        if stage == 0 {
            return None;
        }
        let (token, over) = (self.take(), self.take());
        let stage = match stage {
            1 => Stage::Fetched,
            2 => Stage::Written { over },
            tried => Stage::Tried { over, age: tried - 3 },
        };
        Some(Stranger { token, stage })
    }

    fn node(&mut self, with_state: bool) -> Node {
        let epoch = self.take();
        if !with_state {
            return Node { epoch, ..Node::default() };
        }
        let [published] = self.flags();
        Node { epoch, published, state: self.state() }
    }

    fn state(&mut self) -> State {
        let [anything, exists, intent, drained, drain] = self.flags();
        if !anything {
            return State::default();
        }
        let rules = &self.protocol.rules;
        let (epoch, fence, nonce, holder) = (self.text(), self.fence(), self.text(), self.worker());
        let claimed_at_ms = self.instant();
        let bits = self.pair();
        let doubts = (0..).zip(DOUBTS).filter(|(i, _)| bits >> (DOUBTS.len() - 1 - i) & 1 == 1);
        let doubt: Doubts = doubts.map(|(_, reason)| reason).collect();
        let drains_at_ms = self.instant();
        let unknowns = self.take();
        let (unsure_from_ms, spaced_from_ms) = (self.instant(), self.instant());
        let token = self.take();
        let token_fence = self.fence();
        let (issued_at_ms, expires_at_ms) = (self.instant(), self.instant());
        let refresh_at_ms = self.instant();
        let rejected = match self.take() {
            0 => None,
            1 => Some(Mark::Reported),
            2 => Some(Mark::Forced),
            _ => Some(Mark::Adopted),
        };
        let reported = self.take();
        let (rejected_from_ms, reported_at_ms) = (self.instant(), self.instant());
        let (alive_at_ms, marked_at_ms) = (self.instant(), self.instant());
        let strain = u32::from(self.take());
        let refusals = (0..self.take()).map(|_| self.refusal()).collect();
        State {
            v: u32::from(exists),
            epoch,
            fence,
            nonce,
            holder,
            configuration: "c".to_owned(),
            claimed_at_ms,
            lease_ms: rules.lease_ms,
            intent,
            drained,
            doubt,
            drains_at_ms,
            drain_ms: if drain { rules.drain_ms } else { 0 },
            unknowns: u32::from(unknowns >> 4),
            unknowns_before: u32::from(unknowns & 15),
            unsure_from_ms,
            spaced_from_ms,
            token: (token > 0).then(|| names::token(token).clone()),
            fingerprint: (token > 0).then(|| names::fingerprint(token).clone()),
            token_fence,
            generation: u64::from(token > 0),
            issued_at_ms,
            expires_at_ms,
            refresh_at_ms,
            rejected,
            rejected_from_ms,
            reported: (reported > 0).then(|| names::fingerprint(reported).clone()),
            reported_at_ms,
            alive_at_ms,
            marked_at_ms,
            strain,
            status: Status::Ok,
            refusals,
            ..State::default()
        }
    }

    fn refusal(&mut self) -> Refusal {
        let [worker] = self.flags();
        Refusal {
            scope: if worker { Scope::Worker } else { Scope::Transient },
            key: self.worker(),
            status: Status::Retrying,
            code: None,
            message: String::new(),
            at_ms: self.instant(),
            retry_at_ms: self.instant(),
            count: 1,
            by: String::new(),
        }
    }

    fn worker(&mut self) -> String {
        let place = self.take();
        if place == 0 {
            String::new()
        } else {
            names::worker(usize::from(place - 1)).identity.clone()
        }
    }

    fn hand(&mut self) -> Hand {
        let [astray] = self.flags();
        let (remembered, own_below) = (self.fence(), self.fence());
        let own = (self.take() > 0).then(|| OwnClaim {
            fence: self.fence(),
            nonce: self.text(),
            epoch: self.text(),
        });
        let witness = (self.fence(), self.take());
        let phase = match self.take() {
            0 => Phase::Idle,
            1 => Phase::Asking { nonce: self.take(), age: self.take(), epoch: self.take() },
            2 => {
                let (claim, age) = (self.claim(), self.take());
                let [acknowledged, checked] = self.flags();
                Phase::Held { claim, age, acknowledged, checked }
            }
            3 => Phase::Sent { claim: self.claim(), age: self.take() },
            _ => Phase::Answered {
                claim: self.claim(),
                age: self.take(),
                token: self.take(),
                life: self.take(),
            },
        };
        Hand {
            phase,
            astray,
            recollection: Recollection { memory: Memory { remembered, own }, own_below },
            witness: (witness.0 > 0).then_some(witness),
        }
    }

    fn claim(&mut self) -> Claim {
        Claim { fence: self.fence(), nonce: self.take(), epoch: self.take() }
    }
}

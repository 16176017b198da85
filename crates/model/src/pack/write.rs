//! Writing a world: numbers are given in the order in which they are met, so equal worlds have equal bytes.

use zhongkong_core::recollection::Recollection;
use zhongkong_core::refusal::Scope;
use zhongkong_core::state::{Mark, Memory, OwnClaim, State};

use super::fences::Fences;
use super::{DOUBTS, Packed};
use crate::bounds::Protocol;
use crate::names;
use crate::stranger::{Stage, Stranger};
use crate::switch::Switch;
use crate::time::{FAR, is_far, ticks_ahead};
use crate::upstream::{Previous, Request, Upstream};
use crate::world::{Broken, Claim, Hand, Node, Phase, World};

/// Numbers in the order in which they are met.
#[derive(Default)]
struct Met {
    codes: [u8; 32],
    count: u8,
}

impl Met {
    fn code(&mut self, id: u8) -> u8 {
        if id == 0 {
            return 0;
        }
        let code = &mut self.codes[usize::from(id)];
        if *code == 0 {
            self.count += 1;
            *code = self.count;
        }
        *code
    }
}

pub(super) struct Writer<'a> {
    out: Vec<u8>,
    fences: &'a Fences,
    tokens: Met,
    nonces: Met,
    epochs: Met,
    keeps_epochs: bool,
    /// The place of each worker in the order.
    places: [u8; 3],
}

impl<'a> Writer<'a> {
    pub(super) fn pack(
        world: &World,
        protocol: &Protocol,
        fences: &'a Fences,
        order: &[usize],
    ) -> Packed {
        let mut places = [0; 3];
        for (place, w) in (0..).zip(order) {
            places[*w] = place;
        }
        let mut writer = Self {
            out: Vec::with_capacity(128),
            fences,
            tokens: Met::default(),
            nonces: Met::default(),
            epochs: Met::default(),
            keeps_epochs: protocol.lacks(Switch::RunIdAlone),
            places,
        };
        let mut called = world.called;
        for (place, w) in order.iter().enumerate() {
            called[place] = world.called[*w];
        }
        let senders = writer.world(world, order);
        Packed { bytes: writer.out.into(), happened: world.happened, called, senders }
    }

    fn put(&mut self, byte: u8) {
        self.out.push(byte);
    }

    fn flags<const N: usize>(&mut self, flags: [bool; N]) {
        self.put(flags.iter().fold(0, |byte, flag| byte << 1 | u8::from(*flag)));
    }

    fn fence(&mut self, fence: u64) {
        self.out.extend(self.fences.code(fence).to_be_bytes());
    }

    fn token(&mut self, id: u8) {
        let code = self.tokens.code(id);
        self.put(code);
    }

    fn nonce(&mut self, id: u8) {
        let code = self.nonces.code(id);
        self.put(code);
    }

    fn epoch(&mut self, id: u8) {
        let code = if self.keeps_epochs { id } else { self.epochs.code(id) };
        self.put(code);
    }

    fn instant(&mut self, at_ms: u64) {
        let ticks = if is_far(at_ms) { i64::from(FAR) } else { ticks_ahead(at_ms) };
        self.put(if at_ms == 0 { 0 } else { u8::try_from(ticks + 128).unwrap_or(u8::MAX) });
    }

    fn world(&mut self, world: &World, order: &[usize]) -> [u8; 4] {
        let World {
            nodes,
            primary,
            split,
            synced,
            workers,
            upstream,
            left,
            stranger,
            copy,
            broken,
            happened: _,
            called: _,
        } = world;
        self.out.extend(left.bytes());
        let other = 1 - primary;
        let same = nodes[other].state == nodes[*primary].state
            && nodes[other].published == nodes[*primary].published;
        let Broken { reused, went_back, needless } = *broken;
        self.flags([*primary == 1, *split, *synced, same, reused, went_back, needless]);
        let Upstream { newest, newest_age, previous, requests } = upstream;
        self.token(*newest);
        self.put(*newest_age);
        let before = previous.unwrap_or(Previous { token: 0, age: 0, replaced: 0 });
        self.token(before.token);
        self.put(before.age);
        self.put(before.replaced);
        self.node(&nodes[*primary], true);
        self.node(&nodes[other], !same);
        let (token, age) = copy.unwrap_or((0, 0));
        self.token(token);
        self.put(age);
        self.stranger(*stranger);
        let mut requests: Vec<(u8, u8, u8)> = requests
            .iter()
            .map(|request| {
                let Request { age, waiter, sender } = *request;
                (age, waiter.map_or(0, |w| self.places[usize::from(w)] + 1), sender)
            })
            .collect();
        requests.sort_unstable();
        self.put(u8::try_from(requests.len()).unwrap_or(0));
        let mut senders = [0; 4];
        for (i, (age, waiter, sender)) in requests.into_iter().enumerate() {
            self.put(age);
            self.put(waiter);
            senders[i.min(3)] = sender;
        }
        self.put(u8::try_from(workers.len()).unwrap_or(0));
        for w in order {
            self.hand(&workers[*w]);
        }
        senders
    }

    fn stranger(&mut self, stranger: Option<Stranger>) {
        let Some(Stranger { token, stage }) = stranger else { return self.put(0) };
        self.put(match stage {
            Stage::Fetched => 1,
            Stage::Written { .. } => 2,
            Stage::Tried { age, .. } => 3 + age,
        });
        self.token(token);
        self.token(stranger.map_or(0, |stranger| stranger.over()));
    }

    fn node(&mut self, node: &Node, with_state: bool) {
        let Node { state, published, epoch } = node;
        self.epoch(*epoch);
        if with_state {
            self.flags([*published]);
            self.state(state);
        }
    }

    /// Every field is named, so that a new one cannot be forgotten here.
    fn state(&mut self, state: &State) {
        let State {
            v,
            epoch,
            fence,
            nonce,
            holder,
            worker: _,
            configuration: _,
            claimed_at_ms,
            lease_ms: _,
            intent,
            reason: _,
            drained,
            doubt,
            drains_at_ms,
            drain_ms,
            unknowns,
            unknowns_before,
            unsure_from_ms,
            spaced_from_ms,
            token: _,
            fingerprint,
            token_fence,
            generation: _,
            issued_at_ms,
            expires_at_ms,
            refresh_at_ms,
            assumed: _,
            layout: _,
            rejected,
            rejected_from_ms,
            lost: _,
            reported,
            reported_at_ms,
            report_day: _,
            report_count: _,
            alive_at_ms,
            probing_until_ms: _,
            marked_at_ms,
            strain,
            invalidating: _,
            invalidated_at_ms: _,
            invalidate_day: _,
            invalidate_count: _,
            status: _,
            error_code: _,
            error_message: _,
            retry_at_ms: _,
            failures: _,
            refusals,
        } = state;
        // What comes late to an emptied Redis leaves doubt where there is no state.
        let anything = *v > 0 || !doubt.is_empty();
        self.flags([anything, *v > 0, *intent, *drained, *drain_ms > 0]);
        if !anything {
            return;
        }
        self.epoch(names::number(epoch));
        self.fence(*fence);
        self.nonce(names::number(nonce));
        self.worker(holder);
        self.instant(*claimed_at_ms);
        let doubts = DOUBTS.iter().map(|reason| doubt.contains(*reason));
        let bits = doubts.fold(0_u16, |bits, set| bits << 1 | u16::from(set));
        self.out.extend(bits.to_be_bytes());
        self.instant(*drains_at_ms);
        self.put(u8::try_from(unknowns << 4 | unknowns_before).unwrap_or(u8::MAX));
        self.instant(*unsure_from_ms);
        self.instant(*spaced_from_ms);
        self.token(names::token_id(fingerprint.as_ref()));
        self.fence(*token_fence);
        for at_ms in [issued_at_ms, expires_at_ms, refresh_at_ms] {
            self.instant(*at_ms);
        }
        self.put(match rejected {
            None => 0,
            Some(Mark::Reported) => 1,
            Some(Mark::Forced | Mark::Invalidated) => 2,
            Some(Mark::Adopted) => 3,
        });
        self.token(names::token_id(reported.as_ref()));
        for at_ms in [rejected_from_ms, reported_at_ms, alive_at_ms, marked_at_ms] {
            self.instant(*at_ms);
        }
        self.put(u8::try_from(*strain).unwrap_or(u8::MAX));
        self.put(u8::try_from(refusals.len()).unwrap_or(u8::MAX));
        for refusal in refusals {
            self.flags([refusal.scope == Scope::Worker]);
            self.worker(&refusal.key);
            self.instant(refusal.at_ms);
            self.instant(refusal.retry_at_ms);
        }
    }

    fn worker(&mut self, identity: &str) {
        let place = self.places[usize::from(names::worker_id(identity))];
        self.put(if identity.is_empty() { 0 } else { place + 1 });
    }

    fn hand(&mut self, hand: &Hand) {
        let Hand { phase, astray, recollection, witness } = hand;
        self.flags([*astray]);
        let Recollection { memory: Memory { remembered, own }, own_below } = recollection;
        self.fence(*remembered);
        self.fence(*own_below);
        self.put(u8::from(own.is_some()));
        if let Some(OwnClaim { fence, nonce, epoch }) = own {
            self.fence(*fence);
            self.nonce(names::number(nonce));
            self.epoch(names::number(epoch));
        }
        let (fence, left) = witness.unwrap_or((0, 0));
        self.fence(fence);
        self.put(left);
        match *phase {
            Phase::Idle => self.put(0),
            Phase::Asking { nonce, age, epoch } => {
                self.put(1);
                self.nonce(nonce);
                self.put(age);
                self.epoch(epoch);
            }
            Phase::Held { claim, age, acknowledged, checked } => {
                self.put(2);
                self.claim(claim);
                self.put(age);
                self.flags([acknowledged, checked]);
            }
            Phase::Sent { claim, age } => {
                self.put(3);
                self.claim(claim);
                self.put(age);
            }
            Phase::Answered { claim, age, token, life } => {
                self.put(4);
                self.claim(claim);
                self.put(age);
                self.token(token);
                self.put(life);
            }
        }
    }

    fn claim(&mut self, claim: Claim) {
        let Claim { fence, nonce, epoch } = claim;
        self.fence(fence);
        self.nonce(nonce);
        self.epoch(epoch);
    }
}

//! Packing: a world as a few bytes, the same for all worlds that differ in nothing that can ever matter.
//!
//! Fences are numbered in their order, nonces, epochs and tokens in the order in which they are met; instants that are
//! over for every rule are one instant; workers are alike, so their order is whichever packs least. What cannot matter
//! within a model's bounds is left out. `tests/it/packing.rs` holds all of that against worlds that are never packed.

use std::hash::{Hash, Hasher};

use zhongkong_core::doubt::{Doubt, Doubts};
use zhongkong_core::recollection::Recollection;
use zhongkong_core::refusal::{Refusal, Scope, Status};
use zhongkong_core::state::{Mark, Memory, OwnClaim, State};

use crate::bounds::{Bounds, Budget, Fault, Protocol};
use crate::happened::Happened;
use crate::names;
use crate::switch::Switch;
use crate::time::{FAR, NOW_MS, NOW_US, TICK_MS, TICK_US, ticks_ahead};
use crate::upstream::{Previous, Request, Upstream};
use crate::world::{Broken, Claim, Hand, Node, Phase, World, fence_ticks};

/// A world, packed. Only the bytes are what it is; the rest is for those who tell its story.
#[derive(Clone, Debug)]
pub struct Packed {
    bytes: Box<[u8]>,
    /// What happened in the step that led here.
    pub happened: Happened,
    called: [u8; 3],
    senders: [u8; 4],
}

const DOUBTS: [Doubt; 9] = [
    Doubt::Clock,
    Doubt::ColdStart,
    Doubt::Epoch,
    Doubt::Foreign,
    Doubt::Late,
    Doubt::LostClaim,
    Doubt::Rewound,
    Doubt::Takeover,
    Doubt::Unknown,
];

/// Old fences begin here: further back than any clock steps.
const OLD_US: u64 = NOW_US - 100 * TICK_US;

impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Packed {}

impl Hash for Packed {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.bytes.hash(hasher);
    }
}

impl Packed {
    /// Packs `world`.
    pub fn new(mut world: World, protocol: &Protocol) -> Self {
        world.forget_what_cannot_matter(protocol);
        let fences = Fences::of(&mut world, protocol);
        let orders: &[&[usize]] = match world.workers.len() {
            1 => &[&[0]],
            2 => &[&[0, 1], &[1, 0]],
            _ => &[&[0, 1, 2], &[0, 2, 1], &[1, 0, 2], &[1, 2, 0], &[2, 0, 1], &[2, 1, 0]],
        };
        let packed = orders.iter().map(|order| Writer::pack(&world, protocol, &fences, order));
        let least = packed.min_by(|a, b| a.bytes.cmp(&b.bytes));
        least.unwrap_or_else(|| Self {
            bytes: Box::default(),
            happened: world.happened,
            called: world.called,
            senders: [0; 4],
        })
    }

    /// The world again.
    pub fn unpack(&self, protocol: &Protocol) -> World {
        Reader { bytes: &self.bytes, at: 0, protocol }.world(self)
    }

    /// The promises that the last step broke, without unpacking the rest.
    pub fn broken(&self) -> Broken {
        let flags = self.bytes.get(Budget::NONE.bytes().len()).copied().unwrap_or(0);
        Broken { reused: flags & 4 > 0, went_back: flags & 2 > 0, needless: flags & 1 > 0 }
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

impl World {
    /// Resets whatever cannot matter any more, so that it does not tell worlds apart.
    fn forget_what_cannot_matter(&mut self, protocol: &Protocol) {
        let Self { left, split, .. } = self;
        let other_matters =
            *split || left.allows(Fault::Failover) || left.allows(Fault::SplitBrain);
        if !other_matters {
            let other = self.other();
            self.nodes[other] = Node::default();
            self.synced = true;
        }
        if !self.split {
            self.workers.iter_mut().for_each(|worker| worker.astray = false);
        }
        self.forget_what_all_know(protocol);
        if !protocol.bounds.deaths {
            self.upstream.previous = None;
        }
        let steps_back = self.left.allows(Fault::ClockBack);
        let refusals = protocol.bounds.faults.allows(Fault::Refusal);
        let floor_ms = NOW_MS - floor(protocol, &self.left) * TICK_MS;
        for Node { state, .. } in &mut self.nodes {
            if !steps_back {
                state.refusals.retain(|refusal| refusal.retry_at_ms > NOW_MS);
                if state.issued_at_ms > 0 && protocol.witnessed_life().is_none() {
                    state.issued_at_ms = floor_ms;
                }
                if state.claimed_at_ms > 0 && !state.intent {
                    state.claimed_at_ms = floor_ms;
                }
            }
            state.refusals.retain(|refusal| refusal.at_ms > floor_ms);
            if !refusals {
                state.holder.clear();
            }
            for at_ms in crate::time::instants(state) {
                *at_ms = floor_ms.max(*at_ms);
            }
            // Two unknown outcomes are as many as any rule asks for.
            state.unknowns = state.unknowns.min(2);
            state.unknowns_before = state.unknowns_before.min(2);
        }
        self.upstream.requests.sort_by_key(|request| (request.age, request.waiter));
    }
}

impl World {
    /// What workers remember matters only where Redis may show something older.
    fn forget_what_all_know(&mut self, protocol: &Protocol) {
        if !protocol.can_forget() {
            self.workers
                .iter_mut()
                .for_each(|worker| worker.recollection = Recollection::default());
            return;
        }
        let Self { nodes, primary, split, left, workers, .. } = self;
        let other_matters =
            *split || left.allows(Fault::Failover) || left.allows(Fault::SplitBrain);
        let replays = left.allows(Fault::Replay);
        let matter: &[Node] = if other_matters { nodes } else { &nodes[*primary..=*primary] };
        let oldest = matter.iter().map(|node| node.state.fence).min().unwrap_or(0);
        let steady = !left.allows(Fault::Wipe);
        for Hand { recollection: Recollection { memory, own_below }, .. } in workers {
            if steady {
                // Every state that can still be seen shows this fence or a later one.
                memory.remembered = memory.remembered.max(oldest);
                if *own_below < oldest || memory.own.is_none() {
                    *own_below = 0;
                }
            }
            if let Some(own) = &mut memory.own {
                let shown = matter.iter().any(|node| node.state.nonce == own.nonce);
                if !shown && !replays {
                    own.fence = 0;
                }
            }
            let settled = memory.own.as_ref().is_some_and(|own| {
                !other_matters && names::number(&own.epoch) == nodes[*primary].epoch
            });
            if settled && steady && !replays {
                memory.own = None;
                *own_below = 0;
            }
        }
    }
}

/// An instant so many ticks ago is over for every rule, and stays so however the clock steps.
fn floor(protocol: &Protocol, left: &Budget) -> u64 {
    let Bounds { overlap, drain, lease, life, .. } = protocol.bounds;
    let longest = overlap.max(drain).max(lease);
    let steps = Bounds::steps_back(left);
    let life = if protocol.witnessed_life().is_some() { life.unwrap_or(0) } else { 0 };
    longest.max(life) + steps
}

/// The fences of a world, and the codes that stand for them.
struct Fences(Vec<(u64, u16)>);

impl Fences {
    fn of(world: &mut World, protocol: &Protocol) -> Self {
        let mut all = Vec::with_capacity(12);
        world.fences(|fence| all.push(*fence));
        all.retain(|fence| *fence > 0);
        all.sort_unstable();
        all.dedup();
        let back = Bounds::steps_back(&world.left).cast_signed();
        // Where a fence counts up by one, it matters whether two are neighbours.
        let counts = protocol.lacks(Switch::Clock);
        let apart = if counts { 3 } else { 1 };
        let (mut rank, mut before, mut place) = (0_u16, 0_u64, 0_u16);
        let codes = all.iter().map(|fence| {
            let ticks = fence_ticks(*fence);
            let gap = fence - before;
            let same_tick = before > 0 && fence_ticks(before) == ticks;
            before = *fence;
            if ticks < -back {
                rank += u16::try_from(gap.min(apart)).unwrap_or(1);
                return (*fence, rank);
            }
            place = if same_tick { place + 1 } else { 0 };
            let exact = fence.wrapping_sub(NOW_US).rem_euclid(TICK_US);
            let within = if ticks == 0 && !counts { u64::from(place) } else { exact };
            let within = u16::try_from(within.min(255)).unwrap_or(255);
            let tick = u16::try_from(ticks + 32).unwrap_or(0);
            (*fence, 0x8000 | tick << 8 | within)
        });
        Self(codes.collect())
    }

    fn code(&self, fence: u64) -> u16 {
        let place = self.0.iter().find(|(known, _)| *known == fence);
        place.map_or(0, |(_, code)| *code)
    }

    const fn fence(code: u16) -> u64 {
        if code == 0 {
            0
        } else if code & 0x8000 == 0 {
            OLD_US + code as u64
        } else {
            let ticks = (code >> 8 & 0x7f) as i64 - 32;
            NOW_US.saturating_add_signed(ticks * TICK_US.cast_signed()) + (code & 0xff) as u64
        }
    }
}

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

struct Writer<'a> {
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
    fn pack(world: &World, protocol: &Protocol, fences: &'a Fences, order: &[usize]) -> Packed {
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
        let ticks = ticks_ahead(at_ms).min(FAR.cast_signed());
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
        self.flags([*v > 0, *intent, *drained, *drain_ms > 0]);
        if *v == 0 {
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

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    protocol: &'a Protocol,
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

    fn world(mut self, packed: &Packed) -> World {
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
            copy: (copy.0 > 0).then_some(copy),
            broken: Broken { reused, went_back, needless },
            happened: packed.happened,
            called: packed.called,
        }
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
        let [exists, intent, drained, drain] = self.flags();
        if !exists {
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
            _ => Some(Mark::Forced),
        };
        let reported = self.take();
        let (rejected_from_ms, reported_at_ms) = (self.instant(), self.instant());
        let (alive_at_ms, marked_at_ms) = (self.instant(), self.instant());
        let strain = u32::from(self.take());
        let refusals = (0..self.take()).map(|_| self.refusal()).collect();
        State {
            v: 1,
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

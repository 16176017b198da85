//! Packing: a world as a few bytes, the same for all worlds that differ in nothing that can ever matter.
//!
//! Fences are numbered in their order, nonces, epochs and tokens in the order in which they are met; instants that are
//! over for every rule are one instant; workers are alike, so their order is whichever packs least. What cannot matter
//! within a model's bounds is left out. `tests/it/packing.rs` holds all of that against worlds that are never packed.

mod fences;
mod read;
mod write;

use std::hash::{Hash, Hasher};

use zhongkong_core::doubt::Doubt;
use zhongkong_core::recollection::Recollection;

use self::fences::Fences;
use self::read::Reader;
use self::write::Writer;
use crate::bounds::{Bounds, Budget, Fault, Protocol};
use crate::happened::Happened;
use crate::names;
use crate::time::{NOW_MS, TICK_MS};
use crate::world::{Broken, Hand, Node, Phase, World};

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
        // What is refused to one worker may bar it: always, or only once the clock went back.
        let refusals = protocol.bounds.faults.allows(Fault::Refusal) || steps_back;
        let floor_ms = NOW_MS - u64::from(floor(protocol, &self.left)) * TICK_MS;
        for Node { state, .. } in &mut self.nodes {
            if !steps_back {
                state.refusals.retain(|refusal| refusal.retry_at_ms > NOW_MS);
                let counts = protocol.witnessed_life().is_some() || protocol.bounds.adopts;
                if state.issued_at_ms > 0 && !counts {
                    state.issued_at_ms = floor_ms;
                }
                if state.claimed_at_ms > 0 && !state.intent {
                    state.claimed_at_ms = floor_ms;
                }
            }
            state.refusals.retain(|refusal| refusal.at_ms > floor_ms);
            if !refusals || !state.intent {
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
        // A claim whose reply was lost is compared with what was remembered before it.
        let unheard = protocol.bounds.faults.allows(Fault::LostReply);
        let steady = !left.allows(Fault::Wipe) && !unheard;
        for Hand { phase, recollection: Recollection { memory, own_below }, .. } in workers {
            if steady {
                // Every state that can still be seen shows this fence or a later one. A worker in the middle of a
                // refresh is going to compare its own claim with what it remembers.
                let known = match phase {
                    Phase::Idle | Phase::Asking { .. } => oldest,
                    Phase::Held { claim, .. }
                    | Phase::Sent { claim, .. }
                    | Phase::Answered { claim, .. } => oldest.min(claim.fence),
                };
                memory.remembered = memory.remembered.max(known);
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
fn floor(protocol: &Protocol, left: &Budget) -> u8 {
    let Bounds { overlap, drain, lease, life, adopts, .. } = protocol.bounds;
    let longest = overlap.max(drain).max(lease);
    let steps = Bounds::steps_back(left);
    // What is adopted is compared with what may still be under way when it was found.
    let longest = if adopts { longest.max(protocol.bounds.issue_counts()) } else { longest };
    let life = if protocol.witnessed_life().is_some() { life.unwrap_or(0) } else { 0 };
    longest.max(life) + steps
}

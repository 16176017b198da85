//! The model: worlds as stateright explores them, and what must hold in each.

use std::hash::{DefaultHasher, Hash, Hasher};

use stateright::{Model, Property};
use zhongkong_core::outlook::Outlook;
use zhongkong_core::state::Mark;

use crate::action::Action;
use crate::bounds::{ANY, Bounds, Fault, Protocol};
use crate::happened::Happened;
use crate::names;
use crate::pack::Packed;
use crate::time::NOW_MS;
use crate::upstream::Upstream;
use crate::world::{Broken, Hand, Node, World};

/// A promise, checked in every world that can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// The invariant of the protocol.
    NewestOrOwed,
    /// A token that is called sure is honoured (rule R14).
    SureIsHonoured,
    /// A fence names one claim (rule R8).
    FenceIsNew,
    /// The fence of the published token does not go back (rule R1).
    FenceGrows,
    /// A published token is never called late (rule R11).
    NeverCalledLate,
    /// Two workers never may send at once under claims of one primary.
    OneSender,
    /// What a reader read a tick ago is honoured (rule R12).
    CopyIsHonoured,
    /// Every world settles (see [`World::settles`]).
    Settles,
}

/// The protocol with its bounds, as stateright explores it.
#[derive(Clone, Debug)]
pub struct RefreshModel {
    /// The rules and the bounds.
    pub protocol: Protocol,
    /// What must hold.
    pub promises: &'static [Promise],
    /// What must happen somewhere, by the bits of [`Happened`].
    pub must_happen: u32,
    /// One world in so many is tried for whether it settles.
    pub settle_one_in: u64,
}

impl Promise {
    /// In words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::NewestOrOwed => "the token in Redis is the newest, or a refresh is owed",
            Self::SureIsHonoured => "a token that is called sure is honoured",
            Self::FenceIsNew => "a fence names one claim",
            Self::FenceGrows => "the published token's fence does not go back",
            Self::NeverCalledLate => "a published token is never called late",
            Self::OneSender => "two workers never may send at once",
            Self::CopyIsHonoured => "what a reader read a tick ago is honoured",
            Self::Settles => "every doubt is settled in the end",
        }
    }

    /// Whether it holds in this world.
    pub fn holds(self, world: &World, protocol: &Protocol) -> bool {
        match self {
            Self::NewestOrOwed => world.is_newest_or_owed(protocol),
            Self::SureIsHonoured => world.is_sure_only_if_honoured(protocol),
            Self::FenceIsNew => !world.broken.reused,
            Self::FenceGrows => !world.broken.went_back,
            Self::NeverCalledLate => !world.broken.needless,
            Self::OneSender => world.has_one_sender(protocol),
            Self::CopyIsHonoured => {
                world.copy.is_none_or(|(token, _)| world.upstream.honours(token))
            }
            Self::Settles => world.settles(protocol),
        }
    }

    const fn property(self) -> Property<RefreshModel> {
        type Check = fn(&RefreshModel, &Packed) -> bool;
        const fn property(name: &'static str, condition: Check) -> Property<RefreshModel> {
            Property { expectation: stateright::Expectation::Always, name, condition }
        }
        let check: Check = match self {
            Self::NewestOrOwed => |model, packed| model.holds(Self::NewestOrOwed, packed),
            Self::SureIsHonoured => |model, packed| model.holds(Self::SureIsHonoured, packed),
            Self::FenceIsNew => |_, packed| !packed.broken().reused,
            Self::FenceGrows => |_, packed| !packed.broken().went_back,
            Self::NeverCalledLate => |_, packed| !packed.broken().needless,
            Self::OneSender => |model, packed| model.holds(Self::OneSender, packed),
            Self::CopyIsHonoured => |model, packed| model.holds(Self::CopyIsHonoured, packed),
            Self::Settles => RefreshModel::settles,
        };
        property(self.about(), check)
    }
}

impl World {
    /// The world in which a model begins: a settled unit, and workers that remember nothing.
    pub fn settled_from_scratch(protocol: &Protocol) -> Option<Self> {
        let bounds = Bounds { without: None, waits: false, ..protocol.bounds };
        let sound = Protocol::new(bounds).ok()?;
        let mut world = Self {
            nodes: [Node { epoch: 1, ..Node::default() }, Node { epoch: 2, ..Node::default() }],
            primary: 0,
            split: false,
            synced: true,
            workers: vec![Hand::default(); protocol.bounds.workers],
            upstream: Upstream::default(),
            left: protocol.bounds.faults,
            stranger: None,
            copy: None,
            broken: Broken::default(),
            happened: Happened::default(),
            called: *b"ABC",
        };
        world = world.settled(&sound)?;
        world.left = protocol.bounds.faults;
        world.workers.iter_mut().for_each(|worker| *worker = Hand::default());
        if protocol.has_replica() {
            let [primary, replica] = &mut world.nodes;
            replica.state.clone_from(&primary.state);
            replica.published = primary.published;
        }
        if protocol.bounds.split {
            world.splits(protocol);
            world = world.settled_by_one(&sound)?;
            world.left = protocol.bounds.faults;
        }
        Some(world)
    }

    /// The first worker meets the new primary and settles the unit there; the others stay astray.
    fn settled_by_one(mut self, protocol: &Protocol) -> Option<Self> {
        let refresh = [Action::Claim(0), Action::Send(0), Action::Process(0), Action::Commit(0)];
        let drain = std::iter::repeat_n(Action::Tick, usize::from(protocol.bounds.drain));
        let steps = [Action::Meet(0)].into_iter().chain(refresh).chain(drain).chain(refresh);
        self.left = self.left.and(Fault::Claim, ANY);
        for action in steps {
            self = self.after(protocol, action)?;
        }
        Some(self)
    }

    fn is_newest_or_owed(&self, protocol: &Protocol) -> bool {
        let state = self.state();
        !self.is_quiet()
            || self.stranger.is_some()
            || names::token_id(state.fingerprint.as_ref()) == self.upstream.newest
            || (0..self.workers.len()).any(|w| {
                let outlook = state.outlook(NOW_MS, &self.viewer(w, protocol), &protocol.rules);
                // A dead worker's claim is owed a refresh when its lease ends.
                matches!(outlook, Outlook::Owed { .. } | Outlook::Held { .. })
            })
    }

    fn is_sure_only_if_honoured(&self, protocol: &Protocol) -> bool {
        let Node { state, epoch, .. } = &self.nodes[self.primary];
        let epoch = if protocol.lacks(crate::switch::Switch::Epoch) {
            String::new()
        } else {
            names::text(*epoch)
        };
        let sure = state.sure_until_ms(NOW_MS, &epoch, &protocol.rules).is_some();
        // While a reply is awaited the token may be dead already: open by nature, and over with the reply.
        !sure
            || state.claim_is_current(NOW_MS)
            || state.rejected.is_some_and(|mark| mark != Mark::Adopted)
            || self.stranger.is_some()
            || self.upstream.honours(names::token_id(state.fingerprint.as_ref()))
    }

    fn has_one_sender(&self, protocol: &Protocol) -> bool {
        let sender = |w: &usize| self.after(protocol, Action::Send(*w)).is_some();
        (0..self.workers.len()).filter(sender).count() <= 1
    }
}

impl RefreshModel {
    fn holds(&self, promise: Promise, packed: &Packed) -> bool {
        promise.holds(&packed.unpack(&self.protocol), &self.protocol)
    }

    fn settles(&self, packed: &Packed) -> bool {
        let mut hasher = DefaultHasher::new();
        packed.hash(&mut hasher);
        let tried = hasher.finish().is_multiple_of(self.settle_one_in.max(1));
        !tried || packed.unpack(&self.protocol).settles(&self.protocol)
    }

    fn happens<const BIT: u32>() -> Property<Self> {
        Property::sometimes(Happened::name(BIT), |_, packed: &Packed| packed.happened.0 & BIT != 0)
    }
}

impl Model for RefreshModel {
    type State = Packed;
    type Action = Action;

    fn init_states(&self) -> Vec<Packed> {
        let world = World::settled_from_scratch(&self.protocol);
        world.into_iter().map(|world| Packed::new(world, &self.protocol)).collect()
    }

    fn actions(&self, packed: &Packed, actions: &mut Vec<Action>) {
        let world = packed.unpack(&self.protocol);
        let of_workers = (0..world.workers.len())
            .flat_map(|w| Action::OF_A_WORKER.into_iter().map(move |action| action(w)));
        let requests = 0..world.upstream.requests.len();
        let of_requests = requests.flat_map(|i| [Action::Process(i), Action::Refuse(i)]);
        let keeps = std::iter::once(Action::Keep(0));
        let all =
            Action::OF_THE_WORLD.into_iter().chain(of_workers).chain(of_requests).chain(keeps);
        actions.extend(all.filter(|action| world.allows(&self.protocol, *action)));
    }

    fn next_state(&self, packed: &Packed, action: Action) -> Option<Packed> {
        let next = packed.unpack(&self.protocol).into_after(&self.protocol, action)?;
        Some(Packed::new(next, &self.protocol))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let promises = self.promises.iter().map(|promise| promise.property());
        let happenings = [
            Self::happens::<{ Happened::CLAIMED }>(),
            Self::happens::<{ Happened::TAKEOVER }>(),
            Self::happens::<{ Happened::EPOCH }>(),
            Self::happens::<{ Happened::COLD_START }>(),
            Self::happens::<{ Happened::LOST_CLAIM }>(),
            Self::happens::<{ Happened::REWOUND }>(),
            Self::happens::<{ Happened::CLOCK }>(),
            Self::happens::<{ Happened::REPEATED }>(),
            Self::happens::<{ Happened::PROVISIONAL }>(),
            Self::happens::<{ Happened::CLEARED }>(),
            Self::happens::<{ Happened::CLEAN }>(),
            Self::happens::<{ Happened::FENCED }>(),
            Self::happens::<{ Happened::UNKNOWN }>(),
            Self::happens::<{ Happened::LATE_UNKNOWN }>(),
            Self::happens::<{ Happened::REFUSED }>(),
            Self::happens::<{ Happened::NOT_SENT }>(),
            Self::happens::<{ Happened::MARKED }>(),
            Self::happens::<{ Happened::SAME_TOKEN }>(),
            Self::happens::<{ Happened::FORGOTTEN }>(),
            Self::happens::<{ Happened::BACK }>(),
            Self::happens::<{ Happened::REPUBLISHED }>(),
            Self::happens::<{ Happened::ASTRAY }>(),
            Self::happens::<{ Happened::FOLLOWED }>(),
            Self::happens::<{ Happened::ADOPTED }>(),
            Self::happens::<{ Happened::ADOPTED_SURE }>(),
            Self::happens::<{ Happened::NOT_ADOPTED }>(),
            Self::happens::<{ Happened::SUPERSEDED }>(),
        ];
        let bits = (0..).map(|i| 1_u32 << i);
        let wanted =
            happenings.into_iter().zip(bits).filter(|(_, bit)| self.must_happen & bit != 0);
        promises.chain(wanted.map(|(property, _)| property)).collect()
    }
}

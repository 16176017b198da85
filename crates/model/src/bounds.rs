//! Bounds: how much of what can go wrong a model allows, and how long its times are.

use std::time::Duration;

use zhongkong_core::clock::{Boot, millis};
use zhongkong_core::nature::Nature;
use zhongkong_core::outlook::Rules;
use zhongkong_core::policy::{Random, due_before_expiry};
use zhongkong_core::timing::{Times, Timing, TimingError};

use crate::switch::Switch;
use crate::time::{FAR, TICK_MS};

/// What can go wrong, or be asked for, as often as a model's bounds allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A claim is granted. No fault, but what bounds a model best.
    Claim,
    /// A worker ends in the middle of whatever it does, and starts again without memory.
    Crash,
    /// Redis answers, and the answer is lost.
    LostReply,
    /// A client library sends a claim once more, at any time.
    Replay,
    /// The primary is lost, and the replica takes over with what it has; a restart from an older disk is the same.
    Failover,
    /// The replica takes over, and the old primary goes on serving those that are connected to it.
    SplitBrain,
    /// The primary's data is emptied while it runs.
    Wipe,
    /// The store's clock steps back by one tick.
    ClockBack,
    /// The store's clock steps forward by two ticks.
    ClockForward,
    /// A worker stalls between its look at the deadline and the sending.
    Stall,
    /// The upstream refuses, and says so.
    Refusal,
    /// A reader reports the current token.
    Report,
    /// An operator forces a refresh.
    Force,
    /// The reader's key vanishes.
    Evict,
    /// Somebody outside of the cluster fetches a token.
    Foreign,
}

/// As often as it likes.
pub const ANY: u8 = u8::MAX;

/// How often each fault may still occur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget([u8; 15]);

/// A model's bounds.
#[expect(clippy::struct_excessive_bools, reason = "each widens or narrows the model by itself")]
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Workers, at most three.
    pub workers: usize,
    /// Requests that are under way at once, at most; a worker waits with the next.
    pub requests: usize,
    /// What can go wrong.
    pub faults: Budget,
    /// How the upstream treats old tokens.
    pub nature: Nature,
    /// Length of a claim, in ticks.
    pub lease: u8,
    /// The longest time in which a request is still processed, in ticks.
    pub hold: u8,
    /// Length of a drain, in ticks.
    pub drain: u8,
    /// How long a replaced token is honoured, in ticks.
    pub overlap: u8,
    /// Least time between two fetches, in ticks.
    pub spacing: u8,
    /// A token's life, in ticks; none if tokens live for ever.
    pub life: Option<u8>,
    /// When a refresh is due, in ticks after the commit; none if only an operator asks for one.
    pub due: Option<u8>,
    /// Redis has a replica, and claims wait for it (rule R10).
    pub waits: bool,
    /// A reader keeps what it read for one tick, and uses it.
    pub reader: bool,
    /// Every refresh ends within the tick, and in an answer.
    pub prompt: bool,
    /// It begins after a failover: one worker has settled the unit on the new primary, and the old one serves the others.
    pub split: bool,
    /// Whether replaced tokens die; without, all that counts is which token is the newest.
    pub deaths: bool,
    /// The token is tried at the upstream now and then.
    pub probes: bool,
    /// Who fetches outside of the cluster writes the token to the key of an SDK, where workers find it.
    pub adopts: bool,
    /// A rule that is switched off.
    pub without: Option<Switch>,
}

/// What workers go by: the core's rules for these bounds.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// The bounds.
    pub bounds: Bounds,
    /// The times, proved by the core.
    pub timing: Timing,
    /// The rules as the transitions take them.
    pub rules: Rules,
}

impl Budget {
    /// No fault at all.
    pub const NONE: Self = Self([0; 15]);

    /// The same, and `times` of `fault`.
    #[must_use]
    pub const fn and(mut self, fault: Fault, times: u8) -> Self {
        self.0[fault as usize] = times;
        self
    }

    /// How often `fault` may still occur.
    pub const fn left(&self, fault: Fault) -> u8 {
        self.0[fault as usize]
    }

    /// Whether `fault` may occur once more.
    pub const fn allows(&self, fault: Fault) -> bool {
        self.left(fault) > 0
    }

    /// Lets `fault` occur.
    pub const fn spend(&mut self, fault: Fault) {
        if self.left(fault) != ANY && self.left(fault) > 0 {
            self.0[fault as usize] -= 1;
        }
    }

    /// What is left, as bytes.
    pub const fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Back from bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(std::array::from_fn(|i| bytes[i]))
    }
}

impl Bounds {
    /// Two workers, WeChat's kind of upstream, and the shortest times that the core accepts; no fault,
    /// and as many claims as it takes.
    pub const LEAST: Self = Self {
        workers: 2,
        requests: 3,
        faults: Budget::NONE.and(Fault::Claim, ANY),
        nature: Nature::WECHAT,
        lease: 1,
        hold: 1,
        drain: 2,
        overlap: 4,
        spacing: 1,
        life: None,
        due: Some(1),
        waits: false,
        reader: false,
        prompt: false,
        split: false,
        deaths: true,
        probes: false,
        adopts: false,
        without: None,
    };

    /// The same, with `times` of `fault`.
    #[must_use]
    pub const fn with(mut self, fault: Fault, times: u8) -> Self {
        self.faults = self.faults.and(fault, times);
        self
    }

    /// The same without one rule.
    #[must_use]
    pub const fn without(mut self, switch: Switch) -> Self {
        self.without = Some(switch);
        self
    }

    /// A request that was sent so many ticks ago is as old as any.
    pub fn request_counts(&self) -> u8 {
        let issued = if self.adopts { self.issue_counts() } else { 0 };
        self.life.unwrap_or(0).max(issued)
    }

    /// A token that was issued so many ticks ago is as old as any, as far as one that is adopted is concerned.
    pub const fn issue_counts(&self) -> u8 {
        self.overlap + 2 * self.lease
    }

    /// A token that was found so many ticks ago is no longer adopted, whatever its age.
    pub const fn found_counts(&self) -> u8 {
        self.lease + 2
    }

    /// How many ticks the store's clock may still step back.
    pub const fn steps_back(faults: &Budget) -> u8 {
        faults.left(Fault::ClockBack)
    }
}

impl Protocol {
    /// The rules for `bounds`, if the core accepts their times.
    pub fn new(bounds: Bounds) -> Result<Self, TimingError> {
        let ticks = |ticks: u8| Duration::from_millis(u64::from(ticks) * TICK_MS);
        let life = bounds.life.unwrap_or(FAR);
        let times = Times {
            ahead: ticks(bounds.due.map_or(1, |due| life - due)),
            request_timeout: Duration::from_millis(TICK_MS * 3 / 10),
            lease: ticks(bounds.lease),
            drain: ticks(bounds.drain),
            spacing: ticks(bounds.spacing),
            overlap: ticks(bounds.overlap),
            hold: ticks(bounds.hold),
        };
        let timing = Timing::new(times)?;
        let mut rules = Rules::new(bounds.nature, &timing);
        match bounds.without {
            Some(Switch::ShortDrain) => rules.drain_ms -= TICK_MS,
            Some(Switch::Spacing) => rules.spacing_ms = 0,
            _ => {}
        }
        Ok(Self { bounds, timing, rules })
    }

    /// Whether this rule is switched off.
    pub fn lacks(&self, switch: Switch) -> bool {
        self.bounds.without == Some(switch)
    }

    /// The life of a token that the upstream said to live so many ticks.
    pub fn life_ms(&self, life: u8) -> u64 {
        u64::from(self.bounds.life.map_or(FAR, |_| life)) * TICK_MS
    }

    /// How long before the end of that life a token is due, in whole ticks; without chance.
    pub fn ahead_ms(&self, life: u8) -> u64 {
        if self.bounds.life.is_none() {
            return u64::from(self.bounds.due.map_or(0, |due| FAR - due)) * TICK_MS;
        }
        let life = Duration::from_millis(self.life_ms(life));
        let ahead = due_before_expiry(self.bounds.nature, &self.timing, life, Random::new(0.0));
        millis(ahead) / TICK_MS * TICK_MS
    }

    /// Whether a claim that was first sent `age` ticks ago may still send its request (rule R6).
    pub fn may_send(&self, age: u8) -> bool {
        let t0 = Boot::new(Duration::from_hours(1));
        let now = t0 + Duration::from_millis(u64::from(age) * TICK_MS);
        self.lacks(Switch::Deadline) || now <= self.timing.send_by(t0)
    }

    /// Whether there is a second node at all.
    pub const fn has_replica(&self) -> bool {
        let Bounds { faults, waits, split, .. } = &self.bounds;
        *waits || *split || faults.allows(Fault::Failover) || faults.allows(Fault::SplitBrain)
    }

    /// Whether what workers remember can ever differ from what Redis shows.
    pub const fn can_forget(&self) -> bool {
        let faults = &self.bounds.faults;
        self.has_replica() || faults.allows(Fault::Wipe) || faults.allows(Fault::Replay)
    }

    /// A token's life in ticks where workers note it by their own clock: where the store's clock may step.
    pub fn witnessed_life(&self) -> Option<u8> {
        let faults = &self.bounds.faults;
        let steps = faults.allows(Fault::ClockBack) || faults.allows(Fault::ClockForward);
        self.bounds.life.filter(|_| steps)
    }
}

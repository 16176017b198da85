//! The plan of a run: all of it follows from the seed.

use std::time::Duration;

use zhongkong_core::clock::millis;
use zhongkong_core::timing::TimingError;

use crate::cast::{Profile, UNITS};
use crate::dice::{Dice, Purpose};
use crate::fault::{Fault, Loss, POINTS};
use crate::machine::{Mishap, Trap};

/// How bad it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// Faults that readers must not notice at all: each episode is over within half of the overlap.
    Mild,
    /// Everything, for as long as it takes, and a strict upstream: readers may notice, within bounds.
    Wild,
}

/// Who plays, and what happens when.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) temper: Temper,
    pub(crate) machines: usize,
    pub(crate) profile: Profile,
    /// Only the newest two tokens of the rotating account live.
    pub(crate) strict: bool,
    pub(crate) episodes: Vec<Episode>,
    pub(crate) ends_at: Duration,
    /// Within this time after an episode every doubt is settled.
    pub(crate) recovery: Duration,
}

/// Faults that belong together, and a time of quiet behind them.
#[derive(Clone, Debug)]
pub(crate) struct Episode {
    pub(crate) from: Duration,
    /// Faults, each so long after the begin.
    pub(crate) faults: Vec<(Duration, Fault)>,
    /// The last fault is over.
    pub(crate) to: Duration,
}

/// How often each token is tried against its upstream.
pub(crate) const PROBE_EVERY: Duration = Duration::from_mins(2);
/// Once something settled, it is quiet for at least so long.
const QUIET: Duration = Duration::from_mins(2);

impl Plan {
    pub(crate) fn draw(seed: u64) -> Result<Self, TimingError> {
        let dice = Dice::new(seed, Purpose::Plan);
        let temper = if dice.happens(500) { Temper::Mild } else { Temper::Wild };
        let long = dice.happens(100);
        let profile = if long { Profile::long()? } else { Profile::short()? };
        let ends_at = Duration::from_hours(if long { 6 } else { 2 });
        let machines = dice.index(4) + 2;
        let strict = temper == Temper::Wild && dice.happens(500);
        let mut draft = Draft { dice, temper, machines, profile };
        let recovery = draft.recovery();
        let mut episodes = Vec::new();
        // A cold start settles first.
        let mut from = recovery;
        loop {
            from += draft.dice.ms(0..=600_000);
            let episode = draft.episode(from);
            let next = episode.to + recovery + QUIET;
            if next >= ends_at {
                break;
            }
            episodes.push(episode);
            from = next;
        }
        Ok(Self { temper, machines, profile, strict, episodes, ends_at, recovery })
    }
}

/// A plan while it is drawn.
struct Draft {
    dice: Dice,
    temper: Temper,
    machines: usize,
    profile: Profile,
}

impl Draft {
    /// How long it may take until everything is settled again.
    fn recovery(&self) -> Duration {
        let times = self.profile.timing.times();
        // A drain for the doubt, another for what the fetch after it met, and the longest backoff.
        let mild = 4 * times.drain + Duration::from_secs(90);
        match self.temper {
            Temper::Mild => mild,
            // What somebody else killed is found by a probe, and may be served after ten minutes only.
            Temper::Wild => mild + 2 * PROBE_EVERY + Duration::from_mins(12),
        }
    }

    /// The longest that a fault lasts.
    fn longest_ms(&self) -> u64 {
        let overlap_ms = millis(self.profile.timing.times().overlap);
        match self.temper {
            Temper::Mild => overlap_ms * 2 / 5,
            Temper::Wild => overlap_ms * 3,
        }
    }

    fn episode(&mut self, from: Duration) -> Episode {
        let mut faults: Vec<(Duration, Fault)> = Vec::new();
        let mut to = from;
        for _ in 0..=self.dice.index(3) {
            let after = self.dice.ms(0..=self.longest_ms() / 5);
            let fault = self.fault();
            to = to.max(from + after + fault.lasts());
            // A trap waits for a refresh, and much else only matters if there is one.
            let trap = matches!(fault, Fault::Trap(_));
            if trap || self.dice.happens(600) {
                let during = after + self.dice.ms(0..=if trap { 0 } else { 3_000 });
                faults.push((during, Fault::Forced { unit: self.unit() }));
            }
            faults.push((after, fault));
        }
        faults.sort_by_key(|(after, _)| *after);
        Episode { from, faults, to }
    }

    /// Mostly the rotating one: it is the one that can be hurt.
    fn unit(&self) -> usize {
        if self.dice.happens(700) { 0 } else { self.dice.index(UNITS) }
    }

    fn machine(&self) -> usize {
        self.dice.index(self.machines) + 1
    }

    /// Mostly short, now and then as long as may be.
    fn time(&self) -> Duration {
        let longest_ms = self.longest_ms();
        let most_ms = if self.dice.happens(500) { longest_ms } else { longest_ms / 6 };
        self.dice.ms(100..=most_ms)
    }

    fn mishap(&self) -> Mishap {
        if self.dice.happens(600) { Mishap::Pause(self.time()) } else { Mishap::Kill }
    }

    fn loss(&self) -> Loss {
        match (self.temper, self.dice.of(0..=4)) {
            (_, 0..=1) => Loss::Nothing,
            (Temper::Mild, _) => Loss::Last(self.dice.of(1..=2_000)),
            (Temper::Wild, 2..=3) => Loss::Last(self.dice.of(1..=30_000)),
            (Temper::Wild, _) => Loss::Everything,
        }
    }

    /// Whether a service writes a token of its own to the key of its SDK, and how late.
    fn written(&self) -> Option<Duration> {
        self.dice
            .happens(600)
            .then(|| if self.dice.happens(500) { Duration::ZERO } else { self.time() })
    }

    fn fault(&self) -> Fault {
        let (unit, machine) = (self.unit(), self.machine());
        let kinds = match self.temper {
            Temper::Mild => 22,
            Temper::Wild => 28,
        };
        match self.dice.of(0..=kinds) {
            0..=1 => Fault::Mishap { machine, then: self.mishap() },
            2..=7 => {
                let point = POINTS[self.dice.index(POINTS.len())];
                Fault::Trap(Trap { point, then: self.mishap() })
            }
            8 => Fault::CutFromRedis { machine, time: self.time() },
            9 => Fault::CutFromUpstream { machine, time: self.time() },
            10..=11 => Fault::RedisStorm { time: self.time() },
            12..=14 => Fault::UpstreamStorm { time: self.time() },
            15 => Fault::RedisDown { time: self.time(), loses: self.loss() },
            16 => Fault::Failover { loses: self.loss(), proxy: self.dice.happens(500) },
            17 => Fault::Spoilt { unit, overwritten: self.dice.happens(500) },
            18 => Fault::Herd { unit, reports: self.dice.index(300) + 1 },
            19 => Fault::Forced { unit },
            20 => Fault::OffList { machine, time: self.time() },
            21 => Fault::NewSecret { unit, within: self.time() },
            22 => Fault::Changed { machine },
            23..=24 => Fault::Foreign { unit, written: self.written() },
            25 => Fault::Flushed,
            _ => {
                let by_ms = i64::try_from(self.dice.of(0..=7_200_000)).unwrap_or(0) - 3_600_000;
                Fault::Stepped { by_ms }
            }
        }
    }
}

impl Fault {
    /// How long it lasts.
    pub(crate) fn lasts(&self) -> Duration {
        match self {
            Self::Mishap { then: Mishap::Pause(time), .. }
            | Self::Trap(Trap { then: Mishap::Pause(time), .. })
            | Self::CutFromRedis { time, .. }
            | Self::CutFromUpstream { time, .. }
            | Self::RedisStorm { time }
            | Self::UpstreamStorm { time }
            | Self::OffList { time, .. }
            | Self::NewSecret { within: time, .. }
            | Self::Foreign { written: Some(time), .. } => *time,
            Self::RedisDown { time, loses } => *time + loses.begins_before(),
            Self::Failover { loses, .. } => loses.begins_before(),
            _ => Duration::ZERO,
        }
    }
}

impl Loss {
    /// What is lost was written from so long before on.
    const fn begins_before(self) -> Duration {
        match self {
            Self::Last(ms) => Duration::from_millis(ms),
            Self::Nothing | Self::Everything => Duration::ZERO,
        }
    }
}

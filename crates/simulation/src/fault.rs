//! What may go wrong, as the plan draws it.

use std::fmt;
use std::time::Duration;

use crate::machine::{Mishap, Trap};

/// Points of a refresh at which a worker may be paused or killed.
pub(crate) const POINTS: [&str; 13] = [
    "before_claim",
    "after_claim",
    "before_send",
    "after_check",
    "after_send",
    "after_answer",
    "before_commit",
    "after_commit",
    "before_publish",
    "before_abandon",
    "after_abandon",
    "before_keep",
    "before_adopt",
];

/// One thing that goes wrong, or that people do.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// A machine is paused, or its worker killed.
    Mishap { machine: usize, then: Mishap },
    /// The same happens to the first worker that comes to a point of a refresh.
    Trap(Trap),
    /// A machine cannot reach Redis.
    CutFromRedis { machine: usize, time: Duration },
    /// A machine cannot reach the upstreams.
    CutFromUpstream { machine: usize, time: Duration },
    /// Commands to Redis and their answers are slow, late or lost.
    RedisStorm { time: Duration },
    /// Requests to the upstreams and their answers are slow, late or lost; some are refused as -1.
    UpstreamStorm { time: Duration },
    /// Redis is away, and comes back with or without its data.
    RedisDown { time: Duration, loses: Loss },
    /// Another Redis takes over at once, with what it has of the data; behind a proxy, no connection breaks.
    Failover { loses: Loss, proxy: bool },
    /// Readers' key is deleted by hand, or overwritten.
    Spoilt { unit: usize, overwritten: bool },
    /// Readers report the token, over HTTP and in the stream.
    Herd { unit: usize, reports: usize },
    /// An operator forces a refresh.
    Forced { unit: usize },
    /// A machine's address is not on the IP list.
    OffList { machine: usize, time: Duration },
    /// The AppSecret is changed, and reaches the machines one after the other.
    NewSecret { unit: usize, within: Duration },
    /// A worker is stopped in order and started again, with the other times.
    Changed { machine: usize },
    /// Somebody outside of the cluster fetches a token; and perhaps writes it to the key of an SDK so much later.
    Foreign { unit: usize, written: Option<Duration> },
    /// Somebody empties Redis.
    Flushed,
    /// The clock of Redis is stepped.
    Stepped { by_ms: i64 },
}

/// What of the data is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing.
    Nothing,
    /// What was written in the last so many milliseconds.
    Last(u64),
    /// All of it.
    Everything,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing lost"),
            Self::Last(ms) => write!(f, "the last {ms} ms lost"),
            Self::Everything => f.write_str("everything lost"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = Duration::as_millis;
        match self {
            Self::Mishap { machine, then } => write!(f, "worker-{machine}: {then}"),
            Self::Trap(Trap { point, then }) => write!(f, "whoever comes to {point}: {then}"),
            Self::CutFromRedis { machine, time } => {
                write!(f, "worker-{machine} is cut off from Redis for {} ms", ms(time))
            }
            Self::CutFromUpstream { machine, time } => {
                write!(f, "worker-{machine} is cut off from the upstreams for {} ms", ms(time))
            }
            Self::RedisStorm { time } => {
                write!(f, "a storm on the way to Redis for {} ms", ms(time))
            }
            Self::UpstreamStorm { time } => {
                write!(f, "a storm on the way to the upstreams for {} ms", ms(time))
            }
            Self::RedisDown { time, loses } => {
                write!(f, "Redis is away for {} ms, {loses}", ms(time))
            }
            Self::Failover { loses, proxy: false } => write!(f, "Redis fails over, {loses}"),
            Self::Failover { loses, proxy: true } => {
                write!(f, "Redis fails over behind a proxy, {loses}")
            }
            Self::Spoilt { unit, overwritten: false } => {
                write!(f, "readers' key of unit {unit} is deleted")
            }
            Self::Spoilt { unit, overwritten: true } => {
                write!(f, "readers' key of unit {unit} is overwritten")
            }
            Self::Herd { unit, reports } => write!(f, "{reports} reports of unit {unit}'s token"),
            Self::Forced { unit } => write!(f, "unit {unit} is forced"),
            Self::OffList { machine, time } => {
                write!(f, "worker-{machine} is off the IP list for {} ms", ms(time))
            }
            Self::NewSecret { unit, within } => {
                write!(f, "unit {unit} has a new secret, everywhere within {} ms", ms(within))
            }
            Self::Changed { machine } => write!(f, "worker-{machine} is changed"),
            Self::Foreign { unit, written: None } => {
                write!(f, "somebody else fetches unit {unit}'s token")
            }
            Self::Foreign { unit, written: Some(time) } => {
                let after = ms(time);
                write!(f, "somebody else fetches unit {unit}'s token, written after {after} ms")
            }
            Self::Flushed => f.write_str("Redis is emptied"),
            Self::Stepped { by_ms } => write!(f, "the clock of Redis is stepped by {by_ms} ms"),
        }
    }
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause(time) => write!(f, "paused for {} ms", time.as_millis()),
            Self::Kill => f.write_str("killed"),
        }
    }
}

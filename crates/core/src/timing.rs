//! The times of a unit, and which of them contradict each other.

use std::time::Duration;

use crate::clock::Boot;

/// The least margin between a worker's own deadline and its lease.
pub const MARGIN_MIN: Duration = Duration::from_millis(100);

/// The times of one credential, proved not to contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    times: Times,
}

/// The times as configured, unproved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// A refresh begins this long before expiry; clamped to half of the life.
    pub ahead: Duration,
    /// The longest wait for the upstream's answer, counted from the sending.
    pub request_timeout: Duration,
    /// How long a claim excludes the others.
    pub lease: Duration,
    /// After this long no request of an earlier claim can be processed any more.
    pub drain: Duration,
    /// The least time between two fetches while a usable token is left.
    pub spacing: Duration,
    /// How long the upstream honours a token after issuing the next.
    pub overlap: Duration,
    /// The longest time after sending in which the upstream may still process a request.
    pub hold: Duration,
}

/// Two times that cannot both be, by the names that the configuration gives them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{first} and {second} contradict each other: {rule}; {remedy}")]
pub struct TimingError {
    /// The value to look at first.
    pub first: &'static str,
    /// The value that it contradicts; equal to `first` if that one alone is wrong.
    pub second: &'static str,
    /// The inequality that must hold, with the numbers.
    pub rule: String,
    /// What would be right.
    pub remedy: String,
}

impl Timing {
    /// Proves `times`, or names the two that contradict each other and what would be right.
    pub fn new(times: Times) -> Result<Self, TimingError> {
        let Times { ahead, request_timeout, lease, drain, spacing, overlap, hold } = times;
        let named = [
            ("ahead", ahead),
            ("request_timeout", request_timeout),
            ("lease", lease),
            ("drain", drain),
            ("spacing", spacing),
            ("overlap", overlap),
            ("hold", hold),
        ];
        if let Some((name, _)) = named.into_iter().find(|(_, value)| value.is_zero()) {
            return Err(TimingError {
                first: name,
                second: name,
                rule: format!("{name} is zero"),
                remedy: "give it a time such as \"10s\"".to_owned(),
            });
        }
        let timing = Self { times };
        let margin = timing.margin();
        let must = |holds: bool, first, second, rule: String, remedy: String| {
            if holds { Ok(()) } else { Err(TimingError { first, second, rule, remedy }) }
        };
        must(
            request_timeout + margin < lease,
            "request_timeout",
            "lease",
            format!(
                "request_timeout {} + margin {} must be less than lease {}",
                show(request_timeout),
                show(margin),
                show(lease)
            ),
            format!("a lease of {} would do", show(request_timeout * 3 / 2 + MARGIN_MIN * 2)),
        )?;
        must(
            drain >= lease + hold,
            "drain",
            "lease",
            format!(
                "drain {} must be at least lease {} + hold {}",
                show(drain),
                show(lease),
                show(hold)
            ),
            format!("a drain of {} would do", show(lease + hold)),
        )?;
        must(
            drain < overlap,
            "drain",
            "overlap",
            format!("drain {} must be less than overlap {}", show(drain), show(overlap)),
            format!("a drain of {} would be the least", show(lease + hold)),
        )?;
        must(
            lease + drain + 2 * request_timeout < overlap,
            "drain",
            "overlap",
            format!(
                "lease {} + drain {} + 2 × request_timeout {} must be less than overlap {}: \
                 a crash, then its drain, then a fetch have to fit inside the overlap",
                show(lease),
                show(drain),
                show(request_timeout),
                show(overlap)
            ),
            "shorten drain, lease or request_timeout".to_owned(),
        )?;
        must(
            spacing < overlap,
            "spacing",
            "overlap",
            format!("spacing {} must be less than overlap {}", show(spacing), show(overlap)),
            format!("a spacing of {} would do", show(overlap / 10)),
        )?;
        Ok(timing)
    }

    /// The same with another spacing, which must be less than `overlap`.
    pub(crate) const fn with_spacing(self, spacing: Duration) -> Self {
        Self { times: Times { spacing, ..self.times } }
    }

    /// The times themselves.
    pub const fn times(&self) -> &Times {
        &self.times
    }

    /// What is kept free at the end of a lease for clocks that run at different rates: `max(100 ms, lease / 10)`.
    pub fn margin(&self) -> Duration {
        MARGIN_MIN.max(self.times.lease / 10)
    }

    /// The last instant at which a claim first asked for at `t0` may send its request (rule R6).
    pub fn send_by(&self, t0: Boot) -> Boot {
        let kept_free = self.margin() + self.times.request_timeout;
        t0 + self.times.lease.saturating_sub(kept_free)
    }

    /// `ahead` for a token that lives `life`, and whether it had to be clamped to half of that.
    pub fn ahead_of(&self, life: Duration) -> (Duration, bool) {
        let half = life / 2;
        (self.times.ahead.min(half), self.times.ahead > half)
    }
}

/// A duration as people write it in the configuration.
fn show(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms.is_multiple_of(60_000) && ms > 0 {
        format!("{}m", ms / 60_000)
    } else if ms.is_multiple_of(1_000) {
        format!("{}s", ms / 1_000)
    } else {
        format!("{ms}ms")
    }
}

/// Times that hold together and are short enough to wait for; `overlap` and the rest of a simulator with short lives.
#[cfg(test)]
pub(crate) const WECHAT: Times = Times {
    ahead: Duration::from_mins(10),
    request_timeout: Duration::from_secs(5),
    lease: Duration::from_secs(8),
    drain: Duration::from_mins(1),
    spacing: Duration::from_secs(30),
    overlap: Duration::from_mins(5),
    hold: Duration::from_secs(40),
};

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[track_caller]
    fn refused(times: Times, first: &str, second: &str) {
        let error = Timing::new(times).unwrap_err();
        assert_eq!((error.first, error.second), (first, second), "{error}");
    }

    #[test]
    fn the_defaults_hold_together() {
        assert!(Timing::new(WECHAT).is_ok());
    }

    #[test]
    fn each_contradiction_names_its_two_values() {
        refused(Times { request_timeout: s(8), ..WECHAT }, "request_timeout", "lease");
        refused(Times { drain: s(47), ..WECHAT }, "drain", "lease");
        refused(Times { drain: s(300), ..WECHAT }, "drain", "overlap");
        refused(Times { drain: s(282), ..WECHAT }, "drain", "overlap");
        refused(Times { spacing: s(300), ..WECHAT }, "spacing", "overlap");
        refused(Times { lease: s(0), ..WECHAT }, "lease", "lease");
        refused(Times { ahead: s(0), ..WECHAT }, "ahead", "ahead");
    }

    #[test]
    fn each_bound_is_met_just_inside() {
        for times in [
            Times { request_timeout: Duration::from_millis(7_199), ..WECHAT },
            Times { drain: s(48), ..WECHAT },
            Times { drain: s(281), ..WECHAT },
            Times { spacing: s(299), ..WECHAT },
        ] {
            assert!(Timing::new(times).is_ok(), "{times:?}");
        }
    }

    #[test]
    fn the_last_instant_to_send_leaves_room_for_the_answer_and_the_margin() {
        let timing = Timing::new(WECHAT).unwrap();
        assert_eq!(timing.margin(), Duration::from_millis(800));
        let t0 = Boot::new(s(100));
        assert_eq!(timing.send_by(t0), t0 + Duration::from_millis(2_200));
    }

    #[test]
    fn ahead_is_at_most_half_of_the_life() {
        let timing = Timing::new(WECHAT).unwrap();
        assert_eq!(timing.ahead_of(s(7_200)), (s(600), false));
        assert_eq!(timing.ahead_of(s(20)), (s(10), true));
    }
}

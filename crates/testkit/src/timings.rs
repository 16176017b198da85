//! Times short enough to wait for, which do not contradict each other.

use std::time::Duration;

/// The times of the simulated upstream, and of the workers that know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How long a token lives.
    pub life: Duration,
    /// How long the upstream honours a token after issuing the next.
    pub overlap: Duration,
    /// The longest time after sending in which the upstream may still process a request.
    pub hold: Duration,
    /// A refresh begins this long before expiry; workers clamp it to half of the life.
    pub ahead: Duration,
    /// The longest wait for the upstream's answer.
    pub request_timeout: Duration,
    /// How long a claim excludes the other workers.
    pub lease: Duration,
    /// Until no request of an earlier claim can be processed any more.
    pub drain: Duration,
    /// The least time between two fetches while a usable token is left.
    pub spacing: Duration,
    /// First wait after a refusal that a person must lift.
    pub human_poll: Duration,
}

/// What leaves a noisy machine half a second wherever a worker must be in time.
impl Default for Timings {
    fn default() -> Self {
        Self {
            life: Duration::from_secs(20),
            overlap: Duration::from_secs(5),
            hold: Duration::from_millis(500),
            ahead: Duration::from_secs(5),
            request_timeout: Duration::from_millis(600),
            lease: Duration::from_millis(1_250),
            drain: Duration::from_millis(1_900),
            spacing: Duration::from_millis(300),
            human_poll: Duration::from_millis(300),
        }
    }
}

impl Timings {
    /// Panics if the workers or the simulator would refuse these times.
    pub fn check(&self) {
        let Self { life, overlap, hold, request_timeout, lease, drain, spacing, .. } = *self;
        let margin = (lease / 10).max(Duration::from_millis(100));
        assert!(request_timeout + margin < lease, "{self:?}");
        assert!(drain >= lease + hold, "{self:?}");
        assert!(lease + drain + 2 * request_timeout < overlap, "{self:?}");
        assert!(spacing < overlap && overlap < life, "{self:?}");
    }

    /// The section `[refresh]` of a configuration.
    pub fn to_toml(self) -> String {
        let Self { ahead, request_timeout, lease, drain, spacing, .. } = self;
        let Self { human_poll, .. } = self;
        let lines = [
            ("ahead", ahead),
            ("request_timeout", request_timeout),
            ("lease", lease),
            ("drain", drain),
            ("spacing", spacing),
            ("human_poll", human_poll),
        ];
        let lines = lines.map(|(name, time)| format!("{name} = \"{}ms\"\n", time.as_millis()));
        format!("[refresh]\n{}", lines.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_together() {
        Timings::default().check();
    }
}

//! The two clocks: a worker's own boot clock, and the store's.
//!
//! Deadlines of a worker are on its boot clock ([`Boot`]); what the store writes down is in the store's time
//! (`now_ms` and every field that ends in `_at_ms`: Redis `TIME` in milliseconds since 1970).
//! No wall clock of a worker decides anything.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// An instant of this machine's boot clock (`CLOCK_BOOTTIME`: it goes on while the machine is suspended).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boot(Duration);

/// Tells the time; only its implementation reads a clock.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The boot clock, now.
    fn now(&self) -> Boot;
}

impl Boot {
    /// The instant `since_boot` after this machine's boot.
    pub const fn new(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// How much later this is than `earlier`; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The instant `by` earlier, at boot at the earliest.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }
}

impl Add<Duration> for Boot {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

/// A duration in whole milliseconds, as the store counts.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

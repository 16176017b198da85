//! Chance from a seed: the same seed, the same numbers in the same order.

use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use zhongkong_core::chance::Chance;

/// A stream of numbers for one purpose, so that what one part draws does not move what another draws.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<StdRng>);

/// What numbers are drawn for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// What happens when.
    Plan,
    /// How long messages take, and which are lost.
    Network,
    /// Jitter and nonces of a worker, by the number of its start.
    Worker(u64),
}

impl Dice {
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        let stream = match purpose {
            Purpose::Plan => 1,
            Purpose::Network => 2,
            Purpose::Worker(start) => 3 + start,
        };
        // An odd constant spreads neighbouring seeds and streams over the whole range.
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stream.rotate_left(40);
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// A number of `range`.
    pub(crate) fn of(&self, range: RangeInclusive<u64>) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random_range(range)
    }

    /// A time of so many milliseconds.
    pub(crate) fn ms(&self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.of(range))
    }

    /// Whether something happens that happens so many times in a thousand.
    pub(crate) fn happens(&self, in_a_thousand: u64) -> bool {
        self.of(0..=999) < in_a_thousand
    }

    /// An index below `length`, which must not be zero.
    pub(crate) fn index(&self, length: usize) -> usize {
        let last = u64::try_from(length.saturating_sub(1)).unwrap_or(u64::MAX);
        usize::try_from(self.of(0..=last)).unwrap_or(0)
    }
}

impl Chance for Dice {
    fn draw(&self) -> u64 {
        self.of(0..=u64::MAX)
    }
}

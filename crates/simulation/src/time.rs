//! Virtual time: one true time, workers whose clocks run at rates of their own, and a Redis clock that may be stepped.

use std::time::Duration;

use tokio::time::Instant;
use zhongkong_core::clock::{Boot, Clock, millis};

/// When every simulation begins: 2026-11-22T00:00:00Z, in milliseconds since 1970.
pub(crate) const BEGIN_MS: u64 = 1_795_305_600_000;

/// The true time, from the simulation's begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    begin: Instant,
}

/// A worker's boot clock: it began at another time than the others', and runs a little fast or slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkerClock {
    pub(crate) time: Time,
    pub(crate) booted_before: Duration,
    /// How much it gains, in millionths; negative if it loses.
    pub(crate) drift: i64,
}

impl Time {
    /// Time begins now. The runtime's clock must be paused.
    pub(crate) fn begin() -> Self {
        Self { begin: Instant::now() }
    }

    /// Since the begin.
    pub(crate) fn elapsed(self) -> Duration {
        Instant::now().saturating_duration_since(self.begin)
    }

    /// Milliseconds since the begin: what the journal counts in.
    pub(crate) fn ms(self) -> u64 {
        millis(self.elapsed())
    }

    /// Milliseconds since 1970, as the upstream counts.
    pub(crate) fn unix_ms(self) -> u64 {
        BEGIN_MS + self.ms()
    }

    /// Sleeps until `at` after the begin.
    pub(crate) async fn until(self, at: Duration) {
        tokio::time::sleep_until(self.begin + at).await;
    }
}

impl Clock for WorkerClock {
    fn now(&self) -> Boot {
        let elapsed_us = i64::try_from(self.time.elapsed().as_micros()).unwrap_or(i64::MAX);
        let gained_us =
            elapsed_us / 1_000_000 * self.drift + elapsed_us % 1_000_000 * self.drift / 1_000_000;
        let shown_us = elapsed_us.saturating_add(gained_us).unsigned_abs();
        Boot::new(self.booted_before + Duration::from_micros(shown_us))
    }
}

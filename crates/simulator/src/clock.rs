//! The one clock of the simulator: monotonic, and movable forward so that no test waits for midnight.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use tokio::time::Instant;

/// A point in time: since the simulator's start, and as a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Milliseconds since the simulator started; all rules compare these.
    pub(crate) ms: u64,
    /// Milliseconds since 1970, for what the calendar decides.
    pub(crate) unix_ms: u64,
}

const BEIJING: u64 = 8 * 3_600_000;

impl Moment {
    /// The day as the upstream counts it: daily limits start anew at midnight in Beijing.
    pub(crate) fn day(self) -> u64 {
        (self.unix_ms + BEIJING) / 86_400_000
    }

    pub(crate) fn minute(self) -> u64 {
        self.unix_ms / 60_000
    }

    /// A number that differs between any two months in Beijing.
    pub(crate) fn month(self) -> u64 {
        let date = i64::try_from(self.unix_ms)
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .map(|timestamp| timestamp.to_zoned(TimeZone::fixed(Offset::constant(8))));
        date.map_or(0, |date| {
            let (year, month) = (date.year().unsigned_abs(), date.month().unsigned_abs());
            u64::from(year) * 12 + u64::from(month)
        })
    }
}

#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    started_unix_ms: u64,
    skipped_ms: AtomicU64,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the wall clock is read once, to give the monotonic one a date"
    )]
    pub(crate) fn start() -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), started_unix_ms: millis(unix), skipped_ms: AtomicU64::new(0) }
    }

    pub(crate) fn started_unix_ms(&self) -> u64 {
        self.started_unix_ms
    }

    pub(crate) fn now(&self) -> Moment {
        let ms = millis(self.start.elapsed()) + self.skipped_ms.load(Ordering::SeqCst);
        Moment { ms, unix_ms: self.started_unix_ms + ms }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.skipped_ms.fetch_add(millis(by), Ordering::SeqCst);
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Moment {
        let unix: Timestamp = text.parse().unwrap();
        Moment { ms: 0, unix_ms: unix.as_millisecond().unsigned_abs() }
    }

    #[test]
    fn the_day_changes_at_midnight_in_beijing() {
        let before = at("2026-03-31T23:59:59.999+08:00");
        let after = at("2026-04-01T00:00:00+08:00");
        assert_eq!(before.day() + 1, after.day());
        assert_eq!(before.month() + 1, after.month());
        assert_eq!(after.day(), at("2026-04-01T23:59:59+08:00").day());
    }

    #[test]
    fn december_and_january_are_different_months() {
        assert_ne!(at("2025-12-15T00:00:00Z").month(), at("2026-01-15T00:00:00Z").month());
        assert_ne!(at("2025-01-15T00:00:00Z").month(), at("2026-01-15T00:00:00Z").month());
    }

    #[tokio::test]
    async fn the_clock_can_be_moved_forward() {
        let clock = Clock::start();
        clock.advance(Duration::from_hours(2));
        assert!(clock.now().ms >= 7_200_000);
        assert_eq!(clock.now().unix_ms - clock.now().ms, clock.started_unix_ms());
    }
}

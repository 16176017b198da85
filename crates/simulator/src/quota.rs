//! The limits of an account, counted per minute, day and month.

use crate::clock::Moment;
use crate::settings::Settings;

/// Calls spent in the current window of the calendar.
#[derive(Debug, Default)]
struct Window {
    key: u64,
    used: u32,
}

impl Window {
    fn has_room(&self, key: u64, limit: u32) -> bool {
        self.key != key || self.used < limit
    }

    fn spend(&mut self, key: u64) {
        if self.key != key {
            *self = Self { key, used: 0 };
        }
        self.used = self.used.saturating_add(1);
    }

    fn try_spend(&mut self, key: u64, limit: u32) -> bool {
        let room = limit > 0 && self.has_room(key, limit);
        if room {
            self.spend(key);
        }
        room
    }
}

/// What an account has used up. Only calls that the upstream lets through are counted.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    legacy_day: Window,
    stable_minute: Window,
    stable_day: Window,
    forced_day: Window,
    ticket_day: Window,
    clears: Window,
}

const DAILY: i32 = 45009;
const MINUTE: i32 = 45011;
const NO_MORE_CLEARS: i32 = 48006;

impl Quotas {
    pub(crate) fn legacy(&mut self, settings: &Settings, now: Moment) -> Result<(), i32> {
        self.legacy_day.try_spend(now.day(), settings.daily_limit).then_some(()).ok_or(DAILY)
    }

    pub(crate) fn stable(&mut self, settings: &Settings, now: Moment) -> Result<(), i32> {
        if !self.stable_minute.has_room(now.minute(), settings.stable_minute_limit) {
            return Err(MINUTE);
        }
        if !self.stable_day.try_spend(now.day(), settings.stable_daily_limit) {
            return Err(DAILY);
        }
        self.stable_minute.spend(now.minute());
        Ok(())
    }

    pub(crate) fn forced(&mut self, settings: &Settings, now: Moment) -> Result<(), i32> {
        self.forced_day.try_spend(now.day(), settings.forced_daily_limit).then_some(()).ok_or(DAILY)
    }

    pub(crate) fn ticket(&mut self, settings: &Settings, now: Moment) -> Result<(), i32> {
        self.ticket_day.try_spend(now.day(), settings.ticket_daily_limit).then_some(()).ok_or(DAILY)
    }

    /// Starts every count anew, except the count of such clearings.
    pub(crate) fn clear(&mut self, settings: &Settings, now: Moment) -> Result<(), i32> {
        if !self.clears.try_spend(now.month(), settings.clear_monthly_limit) {
            return Err(NO_MORE_CLEARS);
        }
        let clears = std::mem::take(&mut self.clears);
        *self = Self { clears, ..Self::default() };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    fn at(unix_ms: u64) -> Moment {
        Moment { ms: 0, unix_ms }
    }

    #[test]
    fn the_daily_limit_returns_at_midnight() {
        let settings = Settings { daily_limit: 2, ..Settings::default() };
        let mut quotas = Quotas::default();
        let outcomes: Vec<_> = (0..3).map(|_| quotas.legacy(&settings, at(DAY))).collect();
        assert_eq!(outcomes, [Ok(()), Ok(()), Err(45009)]);
        assert_eq!(quotas.legacy(&settings, at(2 * DAY)), Ok(()));
    }

    #[test]
    fn the_minute_limit_is_another_error_than_the_daily_one() {
        let settings =
            Settings { stable_minute_limit: 1, stable_daily_limit: 2, ..Settings::default() };
        let mut quotas = Quotas::default();
        assert_eq!(quotas.stable(&settings, at(DAY)), Ok(()));
        assert_eq!(quotas.stable(&settings, at(DAY + 1)), Err(45011));
        assert_eq!(quotas.stable(&settings, at(DAY + 60_000)), Ok(()));
        assert_eq!(quotas.stable(&settings, at(DAY + 120_000)), Err(45009));
    }

    #[test]
    fn clearing_starts_anew_ten_times_a_month() {
        let settings = Settings { daily_limit: 1, ..Settings::default() };
        let mut quotas = Quotas::default();
        for _ in 0..10 {
            assert_eq!(quotas.legacy(&settings, at(DAY)), Ok(()));
            assert_eq!(quotas.legacy(&settings, at(DAY)), Err(45009));
            assert_eq!(quotas.clear(&settings, at(DAY)), Ok(()));
        }
        assert_eq!(quotas.clear(&settings, at(DAY)), Err(48006));
        assert_eq!(quotas.clear(&settings, at(40 * DAY)), Ok(()));
    }

    #[test]
    fn a_limit_of_nothing_refuses_the_first_call() {
        let settings = Settings { forced_daily_limit: 0, ..Settings::default() };
        assert_eq!(Quotas::default().forced(&settings, at(DAY)), Err(45009));
    }
}

//! The boot clock, by which a copy's age is told.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use zhongkong_core::clock::Boot;

/// `CLOCK_BOOTTIME` goes on while the machine is suspended: a copy that slept for an hour is an hour old.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
/// The nearest that other systems have; macOS counts suspension in it, too.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

/// The boot clock, now: some tens of nanoseconds, without a system call.
pub(crate) fn now() -> Boot {
    let time = clock_gettime(CLOCK);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Boot::new(Duration::new(seconds, nanos))
}

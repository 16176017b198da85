//! The boot clock: the only clock that a worker's decisions know.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use zhongkong_core::clock::{Boot, Clock};

/// `CLOCK_BOOTTIME`: it goes on while the machine is suspended, which std's `Instant` does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> Boot {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        Boot::new(Duration::new(seconds, nanos))
    }
}

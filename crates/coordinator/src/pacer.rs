//! Turns for what must not happen all at once: doubts settled after a change of epoch.

use std::collections::HashMap;
use std::time::Duration;

use zhongkong_core::clock::Boot;

/// Hands out turns per upstream host, so many a second.
#[derive(Debug)]
pub(crate) struct Pacer {
    between: Duration,
    next: HashMap<String, Boot>,
}

impl Pacer {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { between: Duration::from_secs(1) / per_second.max(1), next: HashMap::new() }
    }

    /// The next free turn at `host`, now at the earliest.
    pub(crate) fn turn(&mut self, host: &str, now: Boot) -> Boot {
        let next = self.next.entry(host.to_owned()).or_insert(now);
        let turn = now.max(*next);
        *next = turn + self.between;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_at_one_host_are_spaced_and_hosts_do_not_wait_for_each_other() {
        let mut pacer = Pacer::new(50);
        let now = Boot::new(Duration::from_secs(9));
        let step = Duration::from_millis(20);
        assert_eq!([pacer.turn("a", now), pacer.turn("a", now)], [now, now + step]);
        assert_eq!(pacer.turn("b", now), now);
        let later = now + Duration::from_secs(1);
        assert_eq!(pacer.turn("a", later), later);
    }
}

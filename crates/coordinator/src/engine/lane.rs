//! What takes time, and how much of it runs at once.

use std::collections::VecDeque;

use zhongkong_core::credential::Unit;

/// What takes time, for one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Refresh,
    Read,
    Keep,
    Probe,
}

/// Tasks of which only so many run at once; the others wait their turn.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) running: usize,
    pub(super) limit: usize,
    pub(super) waiting: VecDeque<(Unit, Task)>,
}

impl Lane {
    pub(super) const fn new(limit: usize) -> Self {
        Self { running: 0, limit, waiting: VecDeque::new() }
    }

    /// Those that may run now, in their order.
    pub(super) fn pop_all(&mut self) -> impl Iterator<Item = (Unit, Task)> {
        let free = self.limit.saturating_sub(self.running).min(self.waiting.len());
        self.waiting.drain(..free)
    }
}

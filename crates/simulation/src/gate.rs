//! A gate before and behind everything that a worker does outside of itself: closed, the worker is paused.
//!
//! A paused process neither sends nor hears. That it thinks on between two gates changes nothing that others could see.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whoever waits passes in the order of coming; tokio's `watch` wakes in an order of chance, and a seed must give one run.
#[derive(Debug)]
pub(crate) struct Gate {
    open: AtomicBool,
    opened: Notify,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { open: AtomicBool::new(true), opened: Notify::new() }
    }

    pub(crate) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
        if open {
            self.opened.notify_waiters();
        }
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Goes on when it is open.
    pub(crate) async fn pass(&self) {
        while !self.is_open() {
            self.opened.notified().await;
        }
    }
}

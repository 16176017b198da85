//! A gate before and behind everything that a worker does outside of itself: closed, the worker is paused.
//!
//! A paused process neither sends nor hears. That it thinks on between two gates changes nothing that others could see.

use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct Gate {
    open: watch::Sender<bool>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { open: watch::Sender::new(true) }
    }

    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Goes on when it is open.
    pub(crate) async fn pass(&self) {
        if self.is_open() {
            return;
        }
        // The sender lives as long as `self`.
        self.open.subscribe().wait_for(|open| *open).await.ok();
    }
}

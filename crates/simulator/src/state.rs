//! What all calls share: one lock over the whole truth, and one signal that it changed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, Moment};
use crate::faults::HeldCall;
use crate::journal::Journal;
use crate::orders::Orders;
use crate::rules::Upstream;
use crate::settings::Settings;

pub(crate) struct State {
    pub(crate) upstream: Upstream,
    pub(crate) orders: Orders,
    pub(crate) journal: Journal,
    pub(crate) held: BTreeMap<u64, Held>,
}

/// A call that stands still, and the way to let it go on.
pub(crate) struct Held {
    pub(crate) call: HeldCall,
    pub(crate) release: oneshot::Sender<()>,
}

pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) stopped: CancellationToken,
    pub(crate) tasks: TaskTracker,
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        let journal = Journal::new(settings.journal_limit);
        let state = State {
            upstream: Upstream::new(settings, rand::random()),
            orders: Orders::default(),
            journal,
            held: BTreeMap::new(),
        };
        Self {
            clock: Clock::start(),
            stopped: CancellationToken::new(),
            tasks: TaskTracker::new(),
            state: Mutex::new(state),
            changes: watch::Sender::new(()),
        }
    }

    /// Changes the truth at one instant, and wakes whoever waits for a change.
    ///
    /// The time is read under the lock, so that the journal's times never run backwards.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State, Moment) -> T) -> T {
        let result = {
            let mut state = self.lock();
            change(&mut state, self.clock.now())
        };
        self.changes.send_replace(());
        result
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State, Moment) -> T) -> T {
        let state = self.lock();
        look(&state, self.clock.now())
    }

    /// Waits until `look` finds something.
    pub(crate) async fn wait<T>(&self, look: impl Fn(&State, Moment) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            // Marked as seen before the look: a change between the look and the wait is not lost.
            changes.mark_unchanged();
            if let Some(found) = self.read(&look) {
                return found;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

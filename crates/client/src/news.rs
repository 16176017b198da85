//! What Redis says unasked on a connection: which keys changed, and that the connection ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc::{self, Receiver, error::TrySendError};

/// Pushes that may wait to be heard. After more than that everything is read again instead.
const QUEUE: usize = 1024;

/// The hearing end.
#[derive(Debug)]
pub(crate) struct News {
    pushes: Receiver<PushInfo>,
    overflown: Arc<AtomicBool>,
}

/// What was heard.
#[derive(Debug)]
pub(crate) enum Heard {
    /// This key has another value, or none.
    Changed(String),
    /// Any key may have.
    AnyChanged,
    /// Nothing more will be heard.
    Closed,
}

/// Both ends. The connection must not be blocked, so what does not fit is dropped, and that it was is remembered.
pub(crate) fn news() -> (impl Fn(PushInfo) -> Result<(), PushInfo> + Send + Sync + 'static, News) {
    let (sender, pushes) = mpsc::channel(QUEUE);
    let overflown = Arc::new(AtomicBool::new(false));
    let full = Arc::clone(&overflown);
    let send = move |push: PushInfo| {
        sender.try_send(push).or_else(|error| match error {
            TrySendError::Full(_) => {
                full.store(true, Ordering::Release);
                Ok(())
            }
            TrySendError::Closed(push) => Err(push),
        })
    };
    (send, News { pushes, overflown })
}

impl News {
    /// Waits for the next. Nothing is lost when this is dropped before.
    pub(crate) async fn next(&mut self) -> Vec<Heard> {
        let push = self.pushes.recv().await;
        let mut heard = push.map_or_else(|| vec![Heard::Closed], understand);
        heard.extend(self.waiting());
        heard
    }

    /// What else came by now: a burst of changes is one read.
    fn waiting(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        while let Ok(push) = self.pushes.try_recv() {
            heard.extend(understand(push));
        }
        // Looked at last: what is dropped from now on is dropped after a read that is still to come.
        if self.overflown.swap(false, Ordering::AcqRel) {
            heard.push(Heard::AnyChanged);
        }
        heard
    }
}

fn understand(push: PushInfo) -> Vec<Heard> {
    match (push.kind, push.data.into_iter().next()) {
        (PushKind::Disconnection, _) => vec![Heard::Closed],
        (PushKind::Invalidate, Some(Value::Array(keys))) => {
            let key = |key| match key {
                Value::BulkString(key) => String::from_utf8(key).ok().map(Heard::Changed),
                _ => None,
            };
            keys.into_iter().filter_map(key).collect()
        }
        // FLUSHALL comes as a null list.
        (PushKind::Invalidate, _) => vec![Heard::AnyChanged],
        _ => Vec::new(),
    }
}

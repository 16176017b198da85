//! The deadline between the connection and the request: nothing is written to a connection that came up too late.

use std::error::Error;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::sync::Notify;
use tower::{Layer, Service};
use zhongkong_core::clock::{Boot, Clock};

#[cfg(feature = "failpoints")]
use crate::failpoint::{Hook, HookPoint};

type BoxError = Box<dyn Error + Send + Sync>;

tokio::task_local! {
    /// The permission under which the current task may connect.
    ///
    /// Without a pool, a client connects inside the future of the request, where this is set. (With one, a connection
    /// that another request no longer needs comes up in a task of its own, and would be kept.)
    pub(crate) static PASSAGE: Arc<Passage>;
}

/// The permission to send one request, once, no later than a deadline; and whether that was done.
#[derive(Debug)]
pub(crate) struct Passage {
    send_by: Boot,
    clock: Arc<dyn Clock>,
    sent_at: OnceLock<Boot>,
    handed_over: Notify,
    #[cfg(feature = "failpoints")]
    hook: Option<Hook>,
}

/// Why a connection was not handed over to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Barred {
    /// It came up too late.
    #[error("the deadline passed before the connection was up")]
    DeadlinePassed,
    /// Another one was handed over before: the client tries to send a second time.
    #[error("this claim has sent its request already")]
    AlreadySent,
    /// Nobody asked for it: the client is used without a [`Passage`], or connects in another task.
    #[error("a connection outside of a claim")]
    NoPassage,
}

/// Puts the gate around the client's connector.
#[derive(Clone, Debug)]
pub(crate) struct GateLayer;

/// A connector whose connections pass the deadline once more when they are up, TLS included.
#[derive(Clone, Debug)]
pub(crate) struct Gate<S> {
    inner: S,
}

impl Passage {
    pub(crate) fn new(send_by: Boot, clock: Arc<dyn Clock>) -> Self {
        Self {
            send_by,
            clock,
            sent_at: OnceLock::new(),
            handed_over: Notify::new(),
            #[cfg(feature = "failpoints")]
            hook: None,
        }
    }

    #[cfg(feature = "failpoints")]
    pub(crate) fn with_hook(self, hook: Option<Hook>) -> Self {
        Self { hook, ..self }
    }

    /// When the deadline was checked; from then on, the request may have been sent.
    pub(crate) fn sent_at(&self) -> Option<Boot> {
        self.sent_at.get().copied()
    }

    /// Waits until the connection was handed over.
    pub(crate) async fn handed_over(&self) {
        self.handed_over.notified().await;
    }

    fn enter(&self) -> Result<(), Barred> {
        let now = self.clock.now();
        if now > self.send_by {
            return Err(Barred::DeadlinePassed);
        }
        self.sent_at.set(now).map_err(|_| Barred::AlreadySent)
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner }
    }
}

impl<S, R> Service<R> for Gate<S>
where
    S: Service<R, Error = BoxError>,
    S::Response: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, destination: R) -> Self::Future {
        let Ok(passage) = PASSAGE.try_with(Arc::clone) else {
            return Box::pin(ready(Err(Barred::NoPassage.into())));
        };
        if passage.sent_at().is_some() {
            return Box::pin(ready(Err(Barred::AlreadySent.into())));
        }
        let connecting = self.inner.call(destination);
        Box::pin(async move {
            let connection = connecting.await?;
            passage.enter()?;
            #[cfg(feature = "failpoints")]
            crate::failpoint::reach(passage.hook.as_ref(), HookPoint::AfterCheck).await;
            passage.handed_over.notify_one();
            Ok(connection)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::Ready;
    use std::time::Duration;

    use tower::util::service_fn;

    use super::*;

    #[derive(Debug)]
    struct Stopped(Boot);

    impl Clock for Stopped {
        fn now(&self) -> Boot {
            self.0
        }
    }

    const NOW: Boot = Boot::new(Duration::from_secs(100));

    async fn connect(passage: &Arc<Passage>) -> Result<&'static str, Option<Barred>> {
        let inner = service_fn(|(): ()| ready(Ok::<_, BoxError>("connection")));
        let mut gate = GateLayer.layer(inner);
        PASSAGE
            .scope(Arc::clone(passage), async { gate.call(()).await })
            .await
            .map_err(|error| error.downcast_ref().copied())
    }

    fn passage(send_by: Boot) -> Arc<Passage> {
        Arc::new(Passage::new(send_by, Arc::new(Stopped(NOW))))
    }

    #[tokio::test]
    async fn the_gate_is_open_until_the_deadline_and_not_after_it() {
        let open = passage(NOW);
        assert_eq!(connect(&open).await, Ok("connection"));
        assert_eq!(open.sent_at(), Some(NOW));
        open.handed_over().await;

        let shut = passage(NOW.before(Duration::from_nanos(1)));
        assert_eq!(connect(&shut).await, Err(Some(Barred::DeadlinePassed)));
        assert_eq!(shut.sent_at(), None);
    }

    #[tokio::test]
    async fn the_gate_lets_one_connection_through_and_opens_no_second() {
        let passage = passage(NOW);
        assert!(connect(&passage).await.is_ok());
        let mut gate = GateLayer.layer(service_fn(|(): ()| -> Ready<Result<(), BoxError>> {
            panic!("a second connection")
        }));
        let second = PASSAGE.scope(passage, async { gate.call(()).await }).await.unwrap_err();
        assert_eq!(second.downcast_ref(), Some(&Barred::AlreadySent));
    }
}

//! The points of a fetch at which a test stalls or kills the worker.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Where a fetch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookPoint {
    /// Directly after the deadline was checked for the last time, before the connection is handed over.
    AfterCheck,
    /// A moment after the connection was handed over: the request is in the kernel, the answer awaited.
    AfterSend,
    /// The whole answer was read.
    AfterAnswer,
}

/// What is called, and waited for, at each point.
#[derive(Clone)]
pub struct Hook(Arc<HookFn>);

type HookFn = dyn Fn(HookPoint) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

impl Hook {
    /// A hook that calls `hook`.
    pub fn new<F, R>(hook: F) -> Self
    where
        F: Fn(HookPoint) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self(Arc::new(move |point| Box::pin(hook(point))))
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}

pub(crate) async fn reach(hook: Option<&Hook>, point: HookPoint) {
    if let Some(Hook(hook)) = hook {
        hook(point).await;
    }
}

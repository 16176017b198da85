//! Points in a refresh at which tests hold, stop or kill the worker.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What runs at a point, and how long it holds the refresh there.
pub type Hook =
    dyn Fn(&'static str) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static;

/// The hook of a worker under test.
#[derive(Clone)]
pub struct Failpoints(Arc<Hook>);

impl Failpoints {
    /// Runs `hook` with the name of each point that is reached.
    pub fn new(
        hook: impl Fn(&'static str) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) async fn reach(&self, point: &'static str) {
        (self.0)(point).await;
    }
}

impl fmt::Debug for Failpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failpoints")
    }
}

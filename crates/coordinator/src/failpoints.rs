//! Points in a refresh at which tests hold, stop or kill the worker. Without the feature there are none.

use std::fmt;
#[cfg(feature = "failpoints")]
use std::{future::Future, pin::Pin, sync::Arc};

/// What runs at a point, and how long it holds the refresh there.
#[cfg(feature = "failpoints")]
pub type Hook =
    dyn Fn(&'static str) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static;

/// The hook of a worker under test; by default there is none.
#[derive(Clone, Default)]
pub struct Failpoints {
    #[cfg(feature = "failpoints")]
    hook: Option<Arc<Hook>>,
}

#[cfg(feature = "failpoints")]
impl Failpoints {
    /// Runs `hook` with the name of each point that is reached.
    pub fn new(
        hook: impl Fn(&'static str) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static,
    ) -> Self {
        Self { hook: Some(Arc::new(hook)) }
    }

    pub(crate) async fn reach(&self, point: &'static str) {
        if let Some(hook) = &self.hook {
            hook(point).await;
        }
    }
}

#[cfg(not(feature = "failpoints"))]
impl Failpoints {
    #[expect(clippy::unused_async, reason = "tests hold the worker here")]
    pub(crate) async fn reach(&self, _point: &'static str) {}
}

impl fmt::Debug for Failpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failpoints")
    }
}

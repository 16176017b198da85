//! Waiting for what must happen.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Longest wait for what must happen soon: a loaded machine takes its time.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `condition` holds; says whether it did within `timeout`.
pub async fn holds_within(timeout: Duration, mut condition: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if condition().await {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Waits until `condition` holds; panics with `what` if it does not within `timeout`.
pub async fn wait_until(what: &str, timeout: Duration, condition: impl AsyncFnMut() -> bool) {
    assert!(holds_within(timeout, condition).await, "not within {timeout:?}: {what}");
}

//! The simulator over real HTTP: the endpoints, the faults, the holds, the control routes.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests may fail a test where they stand"
)]

mod client;
mod control;
mod endpoints;
mod faults;
mod holds;
mod process;

use std::future::Future;
use std::time::Duration;

use zhongkong_simulator::{Account, ContentType, Settings, Simulator};

/// No wait of a test may outlast this.
const PATIENCE: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("the event never came")
}

fn settings() -> Settings {
    Settings {
        accounts: vec![Account::new("wx1", "hush")],
        content_type: ContentType::Json,
        ..Settings::default()
    }
}

async fn start() -> Simulator {
    Simulator::start(settings()).await.expect("a free port")
}

//! Failpoints, by a directory that `ZHONGKONG_FAILPOINTS` names: a file named like a point makes one worker act there.
//!
//! Points: `before_claim`, `after_claim`, `before_send`, `after_check`, `after_send`, `after_answer`, `before_commit`,
//! `after_commit`, `before_abandon`, `after_abandon`, `before_keep`, `after_keep`, `before_force`, `after_force`,
//! `before_report`, `after_report`. The file holds the action: `stop` (SIGSTOP), `kill` (SIGKILL) or `hold`. The first
//! worker to reach the point takes the file, renames it to `<point>.reached`, and acts once; a hold ends when that file
//! is removed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use zhongkong_coordinator::failpoints::Failpoints;
use zhongkong_upstream::Transport;
use zhongkong_upstream::failpoint::{Hook, HookPoint};

use crate::config::Environment;

const VARIABLE: &str = "ZHONGKONG_FAILPOINTS";
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The failpoints of the coordinator.
pub(crate) fn for_coordinator(environment: &Environment) -> Failpoints {
    let directory = directory(environment);
    Failpoints::new(move |point| Box::pin(reach(directory.clone(), point)))
}

/// The failpoints within a fetch.
pub(crate) fn for_upstream(environment: &Environment, transport: Transport) -> Transport {
    let directory = directory(environment);
    if directory.is_none() {
        return transport;
    }
    transport.with_hook(Hook::new(move |point| {
        let name = match point {
            HookPoint::AfterCheck => "after_check",
            HookPoint::AfterSend => "after_send",
            HookPoint::AfterAnswer => "after_answer",
        };
        reach(directory.clone(), name)
    }))
}

fn directory(environment: &Environment) -> Option<Arc<Path>> {
    environment.get(VARIABLE).map(|directory| PathBuf::from(directory).into())
}

async fn reach(directory: Option<Arc<Path>>, point: &'static str) {
    let Some(directory) = directory else { return };
    let reached = directory.join(format!("{point}.reached"));
    // Renaming is atomic, so exactly one worker acts.
    if std::fs::rename(directory.join(point), &reached).is_err() {
        return;
    }
    let action = std::fs::read_to_string(&reached).unwrap_or_default();
    tracing::warn!(point, action, "failpoint");
    match action.trim() {
        // Sent to this thread, so that it cannot run on until another thread has taken the signal for all.
        "stop" => drop(raise(Signal::SIGSTOP)),
        "kill" => drop(raise(Signal::SIGKILL)),
        _ => {
            while reached.exists() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
}

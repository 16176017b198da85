//! Failpoints, by a directory that `ZHONGKONG_FAILPOINTS` names: a file named like a point makes one worker act there.
//!
//! Points: `before_claim`, `after_claim`, `before_send`, `after_check`, `after_send`, `after_answer`, `before_commit`,
//! `after_commit`, `before_abandon`, `after_abandon`. The file holds the action: `stop` (SIGSTOP), `kill` (SIGKILL)
//! or `hold`. The first worker to reach the point takes the file, renames it to `<point>.reached`, and acts once;
//! a hold ends when that file is removed.

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

/// Builds the failpoints that the environment asks for, into both places where they act.
pub(crate) fn install(environment: &Environment, transport: Transport) -> (Transport, Failpoints) {
    let Some(directory) = environment.get(VARIABLE) else {
        return (transport, Failpoints::new(|_| Box::pin(std::future::ready(()))));
    };
    let directory: Arc<Path> = PathBuf::from(directory).into();
    let for_upstream = Arc::clone(&directory);
    let hook = Hook::new(move |point| {
        let name = match point {
            HookPoint::AfterCheck => "after_check",
            HookPoint::AfterSend => "after_send",
            HookPoint::AfterAnswer => "after_answer",
        };
        reach(Arc::clone(&for_upstream), name)
    });
    let failpoints = Failpoints::new(move |point| Box::pin(reach(Arc::clone(&directory), point)));
    (transport.with_hook(hook), failpoints)
}

async fn reach(directory: Arc<Path>, point: &'static str) {
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

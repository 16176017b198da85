//! Failpoints by environment: `ZHONGKONG_FAILPOINTS="before_send=stop,after_commit=kill"`.
//!
//! Points: `before_claim`, `after_claim`, `before_send`, `after_check`, `after_send`, `after_answer`, `before_commit`,
//! `after_commit`, `before_abandon`, `after_abandon`. Actions: `stop` (SIGSTOP, once), `kill` (SIGKILL),
//! `hold:FILE` (until the file exists). A number after `@` counts the passes before it acts: `before_send=stop@2`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use zhongkong_coordinator::failpoints::Failpoints;
use zhongkong_upstream::Transport;
use zhongkong_upstream::failpoint::{Hook, HookPoint};

use crate::config::Environment;

const VARIABLE: &str = "ZHONGKONG_FAILPOINTS";
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct Failpoint {
    point: String,
    action: Action,
    passes: u32,
    reached: AtomicU32,
}

#[derive(Clone, Debug)]
enum Action {
    Stop,
    Kill,
    Hold(PathBuf),
}

/// Builds the failpoints that the environment asks for, into both places where they act.
pub(crate) fn install(environment: &Environment, transport: Transport) -> (Transport, Failpoints) {
    let text = environment.get(VARIABLE).unwrap_or_default();
    let failpoints: Arc<[Failpoint]> = text.split(',').filter_map(parse).collect();
    if failpoints.is_empty() {
        return (transport, Failpoints::new(|_| Box::pin(std::future::ready(()))));
    }
    let for_upstream = Arc::clone(&failpoints);
    let hook = Hook::new(move |point| {
        let name = match point {
            HookPoint::AfterCheck => "after_check",
            HookPoint::AfterSend => "after_send",
            HookPoint::AfterAnswer => "after_answer",
        };
        reach(Arc::clone(&for_upstream), name)
    });
    let for_coordinator =
        Failpoints::new(move |point| Box::pin(reach(Arc::clone(&failpoints), point)));
    (transport.with_hook(hook), for_coordinator)
}

fn parse(text: &str) -> Option<Failpoint> {
    let (point, action) = text.trim().split_once('=')?;
    let (action, passes) = action.split_once('@').unwrap_or((action, "0"));
    let action = match action.split_once(':') {
        Some(("hold", file)) => Action::Hold(file.into()),
        _ if action == "stop" => Action::Stop,
        _ if action == "kill" => Action::Kill,
        _ => return None,
    };
    let passes = passes.parse().ok()?;
    Some(Failpoint { point: point.to_owned(), action, passes, reached: AtomicU32::new(0) })
}

async fn reach(failpoints: Arc<[Failpoint]>, point: &'static str) {
    for failpoint in failpoints.iter().filter(|failpoint| failpoint.point == point) {
        if failpoint.reached.fetch_add(1, Ordering::AcqRel) != failpoint.passes {
            continue;
        }
        tracing::warn!(point, action = ?failpoint.action, "failpoint");
        match &failpoint.action {
            // The signal stops every thread of the process, this one included.
            Action::Stop => drop(kill_process(getpid(), Signal::STOP)),
            Action::Kill => drop(kill_process(getpid(), Signal::KILL)),
            Action::Hold(file) => {
                while !file.exists() {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }
}

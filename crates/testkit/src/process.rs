//! Child processes that end with their parent, and signals to them.

use std::ffi::OsStr;
use std::process::Stdio;
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// A command whose process is killed when its [`Child`] is dropped.
///
/// Where `setpriv` of util-linux is at hand, it also dies when this process is itself killed, and
/// can then do nothing for its children. The kernel counts from the end of the *thread* that
/// spawned: spawn on a test's own thread or a runtime's, which live as long as the test does.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = if has_setpriv() {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Whether `setpriv` is there and knows the option; that of busybox does not.
fn has_setpriv() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        std::process::Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// Sends a signal to a child that was not waited for yet: its process id cannot be another's.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    kill_process(pid.expect("the process was not waited for"), signal)
        .expect("it may be signalled");
}

/// Whether the process is stopped, as by SIGSTOP; false also if there is none.
pub fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may itself have any character.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']))
}

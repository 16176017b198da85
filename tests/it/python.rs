//! Programs in Python, each with the versions of its libraries, in a folder of its own.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;
use zhongkong_testkit::process;

/// Longest wait for a download.
const INSTALL_PATIENCE: Duration = Duration::from_mins(5);
/// Whether Python, and what makes such folders, is on this machine.
const PRESENT: &str = "python3 -c 'import ensurepip, venv'";
const INSTALL: &str = "python3 -m venv --clear venv && venv/bin/python -m pip install --quiet --no-deps \
     --no-compile --only-binary=:all: --disable-pip-version-check --requirement requirements.txt";

/// Where libraries are installed.
#[derive(Debug)]
pub(crate) struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// A program of it.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("venv/bin").join(name)
    }
}

/// The environment `name`, with the libraries that `wanted` names, each with its version; none, and it is said, if that
/// can't be on this machine.
pub(crate) async fn environment(name: &str, wanted: &str) -> Option<Environment> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    let _one = ONE_AT_A_TIME.lock().await;
    if !sh(PRESENT, Path::new(".")).await.0 {
        // Not by `eprintln`, which a test that passes keeps to itself.
        let mut told = std::io::stderr();
        writeln!(told, "SKIPPED: {name}; `{PRESENT}` fails").unwrap();
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python").join(name);
    let stamp = folder.join("installed");
    if !fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == wanted) {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("requirements.txt"), wanted).unwrap();
        let (done, said) = sh(INSTALL, &folder).await;
        assert!(done, "`{INSTALL}` fails\n{said}");
        fs::write(stamp, wanted).unwrap();
    }
    Some(Environment { folder })
}

async fn sh(script: &str, folder: &Path) -> (bool, String) {
    // Other tests run meanwhile, and theirs are the times that matter.
    let mut command = process::command("nice");
    command.args(["-n", "19", "sh", "-c", script]).current_dir(folder).stdin(Stdio::null());
    let output = timeout(INSTALL_PATIENCE, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("`{script}` does not end")).unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

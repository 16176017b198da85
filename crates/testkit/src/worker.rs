//! One `zhongkong run` as a real process, and what can be done to it.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Child;
use tokio::time::timeout;

use crate::http::{self, Answer};
use crate::process::{self, command};
use crate::wait::{PATIENCE, holds_within};

/// How a worker is to be started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name, and that of its files.
    pub name: String,
    /// The binary `zhongkong`.
    pub binary: PathBuf,
    /// Where its files are: `<name>.toml` and `<name>.log`.
    pub directory: PathBuf,
    /// The configuration; [`Self::port`] must be the one it listens on.
    pub configuration: String,
    /// The port of its HTTP interface on 127.0.0.1.
    pub port: u16,
    /// The environment; nothing of this process' own is inherited but `PATH`.
    pub environment: Vec<(String, String)>,
    /// The network namespace that it lives in.
    pub within: Option<String>,
}

/// A worker. It is killed when it is dropped, even if it is paused.
#[derive(Debug)]
pub struct Worker {
    plan: Plan,
    child: Option<Child>,
}

impl Worker {
    /// Starts a worker; it may not be ready yet.
    pub fn start(plan: Plan) -> Self {
        std::fs::write(plan.config_path(), &plan.configuration).unwrap();
        let mut worker = Self { plan, child: None };
        worker.restart();
        worker
    }

    /// Starts it again after its end; what it says is added to its output.
    pub fn restart(&mut self) {
        assert!(!self.is_running(), "{} still runs", self.name());
        let output = OpenOptions::new().create(true).append(true).open(self.plan.output_path());
        let output = output.unwrap();
        let child = self
            .plan
            .command(&["run"])
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .expect("the worker's binary must be there");
        self.child = Some(child);
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// `http://127.0.0.1:<port>`.
    pub fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.plan.port)
    }

    /// Its configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.plan.config_path()
    }

    /// The file that holds its standard output and standard error.
    pub fn output_path(&self) -> PathBuf {
        self.plan.output_path()
    }

    /// All that it said so far, of its earlier lives too.
    pub fn output(&self) -> String {
        let bytes = std::fs::read(self.plan.output_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How it is started; a change counts from the next [`Self::restart`].
    pub fn plan_mut(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// Whether its process is there, paused or not.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child().id().expect("its end was not waited for")
    }

    /// SIGKILL, and waits until it is gone; also if it is paused or gone already.
    pub async fn kill9(&mut self) {
        // An error only says that it is gone already.
        drop(self.child_mut().start_kill());
        self.wait_exit().await;
    }

    /// SIGSTOP: it does nothing any more, and does not know.
    pub async fn pause(&self) {
        process::signal(self.child(), Signal::STOP);
        self.wait_paused().await;
    }

    /// SIGCONT: it goes on where it was.
    pub fn resume(&self) {
        process::signal(self.child(), Signal::CONT);
    }

    /// SIGTERM: it is to end in order.
    pub fn terminate(&self) {
        process::signal(self.child(), Signal::TERM);
    }

    /// SIGHUP: it is to read its configuration again.
    pub fn reload(&self) {
        process::signal(self.child(), Signal::HUP);
    }

    /// Waits until it is paused, by itself at a failpoint or by [`Self::pause`].
    pub async fn wait_paused(&self) {
        let pid = self.pid();
        let paused = holds_within(PATIENCE, async || process::is_stopped(pid)).await;
        assert!(paused, "{} was not paused\n{}", self.name(), self.tail());
    }

    /// Waits for its end.
    pub async fn wait_exit(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child_mut().wait()).await;
        ended.unwrap_or_else(|_| panic!("{} did not end\n{}", self.name(), self.tail())).unwrap()
    }

    /// Whether `/readyz` says yes now.
    pub async fn is_ready(&self) -> bool {
        let request = http::Request::new("GET", &format!("{}/readyz", self.http_url()));
        let answer = request.within(Duration::from_secs(2)).send().await;
        answer.is_ok_and(|answer| answer.is_success())
    }

    /// Waits until `/readyz` says yes; panics at once if the process ends instead.
    pub async fn wait_ready(&mut self) {
        let mut gone = false;
        let ready = holds_within(PATIENCE, async || {
            gone = !self.is_running();
            gone || self.is_ready().await
        });
        let ready = ready.await && !gone;
        assert!(ready, "{} is not ready (gone: {gone})\n{}", self.name(), self.tail());
    }

    /// `GET`s a path such as `/metrics`.
    pub async fn get(&self, path: &str) -> io::Result<Answer> {
        http::get(&format!("{}{path}", self.http_url())).await
    }

    /// `POST`s JSON to a path.
    pub async fn post(&self, path: &str, body: &Value) -> io::Result<Answer> {
        http::post(&format!("{}{path}", self.http_url()), body).await
    }

    /// Runs the binary once with the worker's configuration: `status --json`, `get wx-test`.
    pub async fn run_command(&self, arguments: &[&str]) -> Output {
        let output = self.plan.command(arguments).output();
        timeout(PATIENCE, output).await.expect("the command must end").unwrap()
    }

    /// The last lines that it said.
    pub fn tail(&self) -> String {
        const LINES: usize = 40;
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
        format!("--- {} said last ---\n{}\n", self.name(), last.join("\n"))
    }

    fn child(&self) -> &Child {
        self.child.as_ref().expect("it was started")
    }

    fn child_mut(&mut self) -> &mut Child {
        self.child.as_mut().expect("it was started")
    }
}

impl Plan {
    fn config_path(&self) -> PathBuf {
        self.file("toml")
    }

    fn output_path(&self) -> PathBuf {
        self.file("log")
    }

    fn file(&self, extension: &str) -> PathBuf {
        Path::new(&self.directory).join(format!("{}.{extension}", self.name))
    }

    fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = match &self.within {
            // It becomes the program itself, so that signals reach that.
            Some(namespace) => {
                let mut command = command("ip");
                command.args(["netns", "exec", namespace]).arg(&self.binary);
                command
            }
            None => command(&self.binary),
        };
        command
            .args(arguments)
            .arg("--config")
            .arg(self.config_path())
            .env_clear()
            // For `setpriv` and `ip`, where workers are started through them.
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A shell script in a worker's place.
    fn stand_in(script: &str) -> (TempDir, Worker) {
        let directory = tempfile::tempdir().unwrap();
        let binary = directory.path().join("stand-in");
        // Written by another process: children that this one starts meanwhile would inherit the
        // open file, and a file open for writing can't be executed.
        let written = std::process::Command::new("sh")
            .args(["-c", "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod 755 \"$0\""])
            .arg(&binary)
            .arg(script)
            .status();
        assert!(written.unwrap().success());
        let plan = Plan {
            name: "worker-1".to_owned(),
            binary,
            directory: directory.path().to_owned(),
            configuration: String::new(),
            port: crate::ports::free_port(),
            environment: vec![("GREETING".to_owned(), "hello".to_owned())],
            within: None,
        };
        (directory, Worker::start(plan))
    }

    #[tokio::test]
    async fn output_and_end_of_a_process_are_seen() {
        let (_directory, mut worker) = stand_in("echo $1 $2; echo $GREETING $HOME >&2; exit 78");
        assert_eq!(worker.wait_exit().await.code(), Some(78));
        assert_eq!(worker.output(), "run --config\nhello\n");
        worker.restart();
        worker.wait_exit().await;
        assert_eq!(worker.output().lines().count(), 4);
        let output = worker.run_command(&["status"]).await;
        assert_eq!(output.stdout, b"status --config\n");
    }

    #[tokio::test]
    async fn a_process_is_paused_resumed_and_ended() {
        let (_directory, mut worker) = stand_in("trap 'exit 7' TERM; while :; do sleep 0.02; done");
        assert!(worker.is_running());
        worker.pause().await;
        worker.terminate();
        worker.resume();
        // Without the pause, the signal might come before the trap is set.
        let code = worker.wait_exit().await.code();
        assert!(matches!(code, Some(7) | None), "{code:?}");
        worker.restart();
        worker.pause().await;
        worker.kill9().await;
        assert!(!worker.is_running());
    }

    #[tokio::test]
    async fn a_paused_process_ends_with_its_owner() {
        let (_directory, worker) = stand_in("while :; do sleep 0.02; done");
        let pid = worker.pid();
        worker.pause().await;
        drop(worker);
        let gone = async || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        crate::wait_until("the process is gone", PATIENCE, gone).await;
    }
}

//! A private redis-server on a random port, ended on drop.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::process::Child;

use crate::ports::free_port;
use crate::process;
use crate::wait::{PATIENCE, wait_until};

/// Longest wait for a server to answer: a loaded machine takes its time.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Names the server's program, where it is another than the installed redis-server.
const PROGRAM: &str = "ZHONGKONG_REDIS_SERVER";

const MISSING: &str = "redis-server must be installed (apt-get install redis-server)";

/// The server's program: the installed redis-server, or what `ZHONGKONG_REDIS_SERVER` names.
#[expect(clippy::disallowed_methods, reason = "which server a run is about is said from outside")]
pub fn program() -> &'static OsString {
    static CHOSEN: OnceLock<OsString> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let named = std::env::var_os(PROGRAM).filter(|program| !program.is_empty());
        let Some(program) = named else { return "redis-server".into() };
        let told = std::process::Command::new(&program).arg("--version").output();
        let told =
            told.unwrap_or_else(|error| panic!("{PROGRAM} is {}: {error}", program.display()));
        let version = String::from_utf8_lossy(&told.stdout).into_owned();
        // Not a macro: what those print is captured.
        drop(std::io::stderr().write_all(format!("{PROGRAM}: {version}").as_bytes()));
        program
    })
}

/// A redis-server of one's own.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    options: Vec<String>,
    environment: Vec<(String, PathBuf)>,
    child: Option<Child>,
    // Dropped last: the server writes here.
    directory: TempDir,
}

impl RedisServer {
    /// A server without persistence.
    pub async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// A server with further options (`--appendonly yes`) and environment (a preload shim).
    pub async fn start_with(options: &[&str], environment: &[(&str, &Path)]) -> Self {
        let mut server = Self {
            port: free_port(),
            directory: tempfile::tempdir().unwrap(),
            options: options.iter().map(ToString::to_string).collect(),
            environment: environment
                .iter()
                .map(|(name, path)| ((*name).to_owned(), path.to_path_buf()))
                .collect(),
            child: None,
        };
        server.restart().await;
        server
    }

    /// A replica of this server, once both say that it follows: a primary may call one online before it acknowledges.
    pub async fn replica(&self) -> Self {
        let of = format!("127.0.0.1 {}", self.port);
        let replica = Self::start_with(&["--replicaof", &of], &[]).await;
        wait_until("the replica is linked", PATIENCE, async || {
            let led: String = self.command(&["INFO", "replication"]).await;
            let follows: String = replica.command(&["INFO", "replication"]).await;
            led.contains("state=online") && follows.contains("master_link_status:up")
        })
        .await;
        replica
    }

    /// `redis://…` of this server.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on the loopback address.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Kills the server as `kill -9` does; its port stays reserved for [`Self::restart`].
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// SIGSTOP: it answers nobody, and does not know.
    pub fn pause(&self) {
        process::signal(self.child.as_ref().expect("it runs"), Signal::STOP);
    }

    /// SIGCONT: it goes on where it was.
    pub fn resume(&self) {
        process::signal(self.child.as_ref().expect("it runs"), Signal::CONT);
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.pid().is_some_and(process::is_stopped)
    }

    /// Starts the server (again), and waits until it answers.
    pub async fn restart(&mut self) {
        self.kill().await;
        let child = process::command(program())
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            // Its background thread would wait in vain, or without a pause, on a clock that moves.
            .args(["--jemalloc-bg-thread", "no"])
            .args(&self.options)
            .arg("--dir")
            .arg(self.directory.path())
            .envs(self.environment.iter().map(|(name, path)| (name, path)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(MISSING);
        self.child = Some(child);
        tokio::time::timeout(START_TIMEOUT, self.answers())
            .await
            .expect("redis-server must answer");
    }

    /// The file to which `--appendonly yes` appends, before it is first rewritten.
    pub fn append_only_file(&self) -> PathBuf {
        self.directory.path().join("appendonlydir").join("appendonly.aof.1.incr.aof")
    }

    /// Where it writes its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    async fn answers(&mut self) {
        loop {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "{MISSING}, and start: {ended:?}");
            if let Ok(mut connection) = self.try_connect().await
                && redis::cmd("PING").query_async::<()>(&mut connection).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn try_connect(&self) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        redis::Client::open(self.url())?.get_multiplexed_async_connection().await
    }

    /// A connection for a test's own commands.
    pub async fn connect(&self) -> redis::aio::MultiplexedConnection {
        self.try_connect().await.unwrap()
    }

    /// One command of the test's own, its answer read as `T`.
    pub async fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        // On a loaded machine an answer may take longer than the half second that is the default.
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = redis::Client::open(self.url()).unwrap();
        let connecting = client.get_multiplexed_async_connection_with_config(&patient);
        let mut connection = connecting.await.unwrap();
        let (name, arguments) = words.split_first().unwrap();
        redis::cmd(name).arg(arguments).query_async(&mut connection).await.unwrap()
    }

    /// How often `command` was called, by `INFO commandstats`.
    pub async fn calls_of(&self, command: &str) -> u64 {
        let info: String = self.command(&["INFO", "commandstats"]).await;
        let prefix = format!("cmdstat_{command}:calls=");
        info.lines()
            .find_map(|line| line.strip_prefix(&prefix)?.split(',').next()?.parse().ok())
            .unwrap_or(0)
    }
}

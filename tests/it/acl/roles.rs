//! The file of users, filled as `docs/redis.md` says, and connections under its roles.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use zhongkong_testkit::{ClusterBuilder, RedisServer, process};

use crate::setup::cluster;

const FILE: &str = include_str!("../../../deploy/redis/users.acl");
const PAGE: &str = include_str!("../../../docs/redis.md");

pub(super) const ROLES: [&str; 3] = ["worker", "reader", "reporter"];

/// A folder with the file, and with the roles' passwords where they were set.
pub(super) struct Roles {
    folder: TempDir,
}

/// The role's line in the file.
pub(super) fn line_of(role: &str) -> &'static str {
    let line = FILE.lines().find(|line| line.starts_with(&format!("user {role} ")));
    line.unwrap_or_else(|| panic!("no line of {role}"))
}

/// What the role's line grants.
pub(super) fn grants_of(role: &str) -> Vec<&'static str> {
    let words = line_of(role).split(' ').skip(2);
    words.filter(|word| word.starts_with(['+', '~', '%', '&'])).collect()
}

impl Roles {
    /// The file as it is.
    pub(super) fn untouched() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("users.acl"), FILE).unwrap();
        Self { folder }
    }

    /// What the page's commands make of it.
    pub(super) async fn made() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
        std::os::unix::fs::symlink(deploy, folder.path().join("deploy")).unwrap();
        let section = PAGE.split("\n### ").find(|section| section.starts_with("In a file\n"));
        let commands = section.and_then(|section| section.split("\n```sh\n").nth(1)).unwrap();
        let commands = commands.split("\n```").next().unwrap();
        let mut shell = process::command("sh");
        let output = shell.args(["-ec", commands]).current_dir(folder.path()).output().await;
        let output = output.unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        Self { folder }
    }

    /// A redis-server that knows the roles, and refuses no command for a reason of its own.
    pub(super) async fn redis(&self) -> RedisServer {
        let file = self.path("users.acl");
        RedisServer::start_with(&["--aclfile", &file, "--enable-debug-command", "yes"], &[]).await
    }

    pub(super) fn password(&self, role: &str) -> String {
        fs::read_to_string(self.path(&format!("{role}.password"))).unwrap().trim().to_owned()
    }

    /// A cluster whose workers log in as the role that is theirs.
    pub(super) fn cluster(&self) -> ClusterBuilder {
        self.cluster_as("worker")
    }

    /// A cluster whose workers log in under `role`.
    pub(super) fn cluster_as(&self, role: &str) -> ClusterBuilder {
        cluster()
            .redis_options(&["--aclfile", &self.path("users.acl"), "--appendonly", "yes"])
            .env("ZHONGKONG__REDIS__USERNAME", role)
            .env("ZHONGKONG__REDIS__PASSWORD", &self.password(role))
    }

    /// The first line of what Redis answers to `command` under `role`, on a connection of its own.
    pub(super) async fn answer(&self, redis: &RedisServer, role: &str, command: &str) -> String {
        self.answer_as(redis, role, &self.password(role), command).await
    }

    /// The same with any password; the refusal, if Redis refuses the login.
    pub(super) async fn answer_as(
        &self,
        redis: &RedisServer,
        role: &str,
        password: &str,
        command: &str,
    ) -> String {
        let stream = TcpStream::connect(("127.0.0.1", redis.port())).await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut answer = String::new();
        for line in [&format!("AUTH {role} {password}"), command] {
            answer.clear();
            stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
            stream.read_line(&mut answer).await.unwrap();
            if answer.starts_with("-WRONGPASS") {
                break;
            }
        }
        answer.trim_end().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

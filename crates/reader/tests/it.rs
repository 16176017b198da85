//! The reader as a process, on a real Redis and the simulator.

#![expect(clippy::unwrap_used, reason = "a broken fixture must stop the test at once")]

use std::process::Output;

use tempfile::TempDir;
use tokio::process::Child;
use zhongkong_simulator::{Account, Pool, Settings, Simulator};
use zhongkong_testkit::process::command;
use zhongkong_testkit::sentinel::PRIMARY;
use zhongkong_testkit::{APP_ID, PATIENCE, RedisServer, SECRET, Sentinels, wait_until};

const KEY: &str = "zhongkong:{wx-test}:access_token";

struct Scene {
    directory: TempDir,
    redis: RedisServer,
    simulator: Simulator,
}

impl Scene {
    async fn new() -> Self {
        let accounts = vec![Account::new(APP_ID, SECRET)];
        let settings = Settings { accounts, ..Settings::default() };
        Self {
            directory: tempfile::tempdir().unwrap(),
            redis: RedisServer::start().await,
            simulator: Simulator::start(settings).await.unwrap(),
        }
    }

    fn program(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut program = command(env!("CARGO_BIN_EXE_zhongkong-reader"));
        program.args(arguments).arg("--counts").arg(self.directory.path().join("counts"));
        program
    }

    fn reader(&self, redis: &str) -> Child {
        let upstream = self.simulator.url();
        let arguments =
            ["run", "--redis", redis, "--upstream", &upstream, "--id", APP_ID, "--every", "5ms"];
        self.program(&arguments).stdout(std::process::Stdio::null()).spawn().unwrap()
    }

    async fn counts(&self) -> Output {
        self.program(&["counts"]).output().await.unwrap()
    }

    /// Waits until the counts say `part`, and end with `code`.
    async fn until(&self, part: &str, code: i32) {
        wait_until(part, PATIENCE, async || {
            let Output { status, stdout, .. } = self.counts().await;
            String::from_utf8(stdout).unwrap().contains(part) && status.code() == Some(code)
        })
        .await;
    }

    /// Another token is issued and published.
    async fn refresh(&self) -> String {
        let token = self.simulator.foreign_refresh(APP_ID, Pool::Legacy).unwrap();
        let () = self.redis.command(&["SET", KEY, &token.value]).await;
        token.value
    }
}

#[tokio::test]
async fn dead_absent_and_unlearnt_tokens_are_counted_apart_from_the_first_good_one_on() {
    let mut scene = Scene::new().await;
    let nobody = scene.counts().await;
    assert_eq!(nobody.status.code(), Some(1));
    let complaint = String::from_utf8(nobody.stderr).unwrap();
    assert!(complaint.contains("no reader runs"), "{complaint}");

    let _reader = scene.reader(&scene.redis.url());
    scene.until("reads=0 dead=0 absent=0 unanswered=0 works=no", 1).await;
    let token = scene.refresh().await;
    scene.until("dead=0 absent=0 unanswered=0 works=yes", 0).await;

    scene.simulator.revoke(&token, true);
    scene.until("absent=0 unanswered=0 works=no", 1).await;
    scene.refresh().await;
    scene.until("absent=0 unanswered=0 works=yes", 0).await;
    let before = String::from_utf8(scene.counts().await.stdout).unwrap();
    assert!(!before.contains(" dead=0 "), "{before}");

    let () = scene.redis.command(&["DEL", KEY]).await;
    scene.until("unanswered=0 works=no", 1).await;
    scene.refresh().await;
    scene.until("unanswered=0 works=yes", 0).await;

    scene.redis.kill().await;
    scene.until("works=no", 1).await;
    scene.redis.restart().await;
    scene.refresh().await;
    scene.until("works=yes", 0).await;
    let after = String::from_utf8(scene.counts().await.stdout).unwrap();
    assert!(!after.contains(" absent=0 ") && !after.contains(" unanswered=0 "), "{after}");
}

#[tokio::test]
async fn a_reader_follows_the_sentinels_to_another_primary() {
    let mut scene = Scene::new().await;
    let mut sentinels = Sentinels::new();
    let replica = scene.redis.replica().await;
    sentinels.watch(scene.redis.port(), 1, |_| String::new()).await;
    scene.refresh().await;
    let url = Sentinels::url(&sentinels.ports());
    assert!(url.ends_with(PRIMARY), "{url}");
    let _reader = scene.reader(&url);
    scene.until("dead=0 absent=0 unanswered=0 works=yes", 0).await;
    scene.redis.kill().await;
    scene.until("works=no", 1).await;
    wait_until("another primary", PATIENCE, async || {
        sentinels.primary().await == Some(replica.port())
    })
    .await;
    scene.until("dead=0 absent=0", 0).await;
}

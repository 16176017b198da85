//! Services that keep their SDK: the keys that it reads are kept current, whatever happens to workers and to the keys.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;
use zhongkong_simulator::{Account, Handle, Settings, Simulator};
use zhongkong_testkit::builder::{WorkerAccount, configuration};
use zhongkong_testkit::cluster::{STATE_KEY, TOKEN_KEY};
use zhongkong_testkit::ports::free_port;
use zhongkong_testkit::wait::holds_within;
use zhongkong_testkit::worker::Plan;
use zhongkong_testkit::{
    APP_ID, Cluster, ClusterBuilder, PATIENCE, RedisCluster, SECRET, Timings, Worker,
};

use crate::setup::{
    Failpoints, cluster, counted, first_worker, force, paused_worker, refresh_at, settled_again,
    until,
};

/// What WxJava reads: the bare token.
const PLAIN: &str = "wx:access_token:wx-test";
/// What wechatpy reads: the token in quotes, and when it ends.
const QUOTED: &str = "wechatpy:wx-test_access_token";
const END: &str = "wechatpy:wx-test_access_token_expires_at";
/// What a legacy WxJava reads: a hash.
const HASH: &str = "maConfig:accessToken";
const PUBLISH: &str = "publish = [\"wxjava-mp\", \"wechatpy\", \"wxjava-ma-legacy\"]";

/// How often SDKs read.
const READ_EVERY: Duration = Duration::from_millis(5);

/// What SDKs found at their keys.
#[derive(Clone, Debug, Default)]
struct Found {
    reads: u64,
    absent: u64,
    dead: u64,
    /// An end within wechatpy's last minute beside a token: it would fetch.
    ended: u64,
}

/// Services with two SDKs, at work until dropped.
struct Services {
    found: Arc<Mutex<Found>>,
    _reading: JoinSet<()>,
}

impl Services {
    async fn start(cluster: &Cluster) -> Self {
        let client = redis::Client::open(cluster.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let found = Arc::new(Mutex::new(Found::default()));
        let (shared, simulator) = (Arc::clone(&found), cluster.simulator.handle());
        let mut reading = JoinSet::new();
        reading.spawn(async move {
            loop {
                let mut pipe = redis::pipe();
                pipe.atomic().cmd("MGET").arg(&[PLAIN, QUOTED, END, TOKEN_KEY]);
                let texts: Vec<Vec<Option<String>>> =
                    pipe.query_async(&mut connection).await.unwrap();
                note(&mut shared.lock().unwrap(), &texts[0], &simulator);
                tokio::time::sleep(READ_EVERY).await;
            }
        });
        Self { found, _reading: reading }
    }

    fn found(&self) -> Found {
        self.found.lock().unwrap().clone()
    }
}

fn note(found: &mut Found, texts: &[Option<String>], simulator: &Handle) {
    found.reads += 1;
    let [plain, quoted, end, own] = texts else { panic!("{texts:?}") };
    let quoted = quoted.as_deref().map(|text| text.trim_matches('"').to_owned());
    for token in [plain.clone(), quoted] {
        match token {
            None => found.absent += u64::from(own.is_some()),
            Some(token) => found.dead += u64::from(!simulator.is_alive(APP_ID, &token)),
        }
    }
    let end: u64 = end.as_deref().map_or(u64::MAX, |end| end.parse().unwrap());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    found.ended += u64::from(end <= now + 60);
}

async fn text(cluster: &Cluster, key: &str) -> Option<String> {
    cluster.redis.command(&["GET", key]).await
}

/// Whether every SDK finds what readers find, for as long.
async fn is_current(cluster: &Cluster) -> bool {
    let Some(token) = cluster.token().await else { return false };
    if cluster.redis.command::<String>(&["TYPE", HASH]).await != "hash" {
        return false;
    }
    let fields: Vec<Option<String>> =
        cluster.redis.command(&["HMGET", HASH, "value", "expire"]).await;
    let own: i64 = cluster.redis.command(&["PTTL", TOKEN_KEY]).await;
    let mut in_time = true;
    for key in [PLAIN, QUOTED, END, HASH] {
        let ttl: i64 = cluster.redis.command(&["PTTL", key]).await;
        in_time &= ttl > 0 && (ttl - own).abs() < 1_500;
    }
    in_time
        && text(cluster, PLAIN).await.as_ref() == Some(&token)
        && text(cluster, QUOTED).await == Some(format!("\"{token}\""))
        && fields[0].as_ref() == Some(&token)
        && fields[1].is_some()
        && text(cluster, END).await.is_some()
}

async fn until_current(cluster: &Cluster) {
    until(cluster, "every SDK finds the token", async || is_current(cluster).await).await;
}

/// A cluster whose keys for SDKs are there.
async fn published(builder: ClusterBuilder) -> Cluster {
    let cluster = builder.toml(PUBLISH).start().await;
    cluster.settle().await;
    until_current(&cluster).await;
    cluster
}

/// The sum of `zhongkong_published_total` over all workers that answer.
async fn published_total(cluster: &Cluster, layout: &str, outcome: &str) -> f64 {
    let labels = format!("{{layout=\"{layout}\",outcome=\"{outcome}\"}}");
    counted(cluster, "zhongkong_published_total", &labels).await
}

#[tokio::test(flavor = "multi_thread")]
async fn over_refreshes_and_deaths_of_workers_no_sdk_finds_an_absent_or_a_dead_token() {
    let failpoints = Failpoints::new();
    let mut cluster = published(failpoints.cluster().workers(3)).await;
    let services = Services::start(&cluster).await;
    for point in ["before_publish", "after_commit", "before_look"] {
        failpoints.arm(point, "kill");
        let before = cluster.token().await;
        // Not of a worker: it may be the one that is killed.
        let forced = cluster.workers()[0].run_command(&["refresh", APP_ID, "--force"]).await;
        assert!(forced.status.success(), "{forced:?}");
        failpoints.reached(point).await;
        failpoints.disarm();
        until(&cluster, "another token", async || cluster.token().await != before).await;
        settled_again(&cluster).await;
        until_current(&cluster).await;
        for worker in cluster.workers_mut() {
            if !worker.is_running() {
                worker.restart();
                worker.wait_ready().await;
            }
        }
    }
    let found = services.found();
    assert!(found.reads > 100, "{found:?}");
    assert_eq!(
        (found.absent, found.dead, found.ended),
        (0, 0, 0),
        "{found:?}\n{}",
        cluster.tails()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_somebody_deleted_or_overwrote_is_back_at_once_without_a_fetch() {
    let cluster = published(cluster().workers(3)).await;
    let calls = cluster.simulator.calls(APP_ID);
    for command in [
        &["DEL", PLAIN][..],
        &["SET", QUOTED, "\"foreign\""],
        &["DEL", END],
        &["PERSIST", PLAIN],
        &["DEL", HASH],
        &["SET", HASH, "no hash"],
        &["HSET", HASH, "value", "foreign"],
        &["DEL", PLAIN, QUOTED, END, HASH],
    ] {
        let () = cluster.redis.command(command).await;
        let spoilt = Instant::now();
        until_current(&cluster).await;
        assert!(spoilt.elapsed() < Duration::from_secs(1), "{command:?}: {:?}", spoilt.elapsed());
    }
    assert_eq!(cluster.simulator.calls(APP_ID), calls);
    assert!(published_total(&cluster, "wxjava-mp", "repaired").await >= 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_first_worker_is_paused_another_writes_a_deleted_key_again() {
    let cluster = published(cluster().workers(3)).await;
    let first = first_worker(&cluster).await;
    cluster.workers()[first].pause().await;
    let () = cluster.redis.command(&["DEL", PLAIN]).await;
    until_current(&cluster).await;
    cluster.workers()[first].resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sdk_that_deletes_its_key_because_the_token_was_refused_has_it_replaced() {
    let cluster = published(cluster().workers(3)).await;
    let dead = cluster.token().await.unwrap();
    assert!(cluster.simulator.revoke(&dead, true));
    // As WxJava does after 40001.
    let () = cluster.redis.command(&["DEL", PLAIN]).await;
    until(&cluster, "another token", async || {
        cluster.token().await.is_some_and(|token| token != dead)
    })
    .await;
    settled_again(&cluster).await;
    until_current(&cluster).await;
    assert!(text(&cluster, PLAIN).await.is_some_and(|token| token != dead));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_with_an_older_token_is_fenced_off() {
    let failpoints = Failpoints::new();
    let cluster = published(failpoints.cluster().workers(3)).await;
    failpoints.arm("before_publish", "stop");
    let before = cluster.token().await;
    force(&cluster).await;
    let paused = paused_worker(&cluster).await;
    failpoints.disarm();
    until(&cluster, "the token is committed", async || cluster.token().await != before).await;
    // The others publish it in its stead, and then the next one.
    until_current(&cluster).await;
    let older = cluster.token().await;
    let awake = (0..3).find(|index| *index != paused).unwrap();
    assert_eq!(refresh_at(&cluster, awake, true).await.0, 200);
    until(&cluster, "the next token", async || cluster.token().await != older).await;
    until_current(&cluster).await;
    let newest = text(&cluster, PLAIN).await;
    cluster.workers()[paused].resume();
    until(&cluster, "the older token is fenced off", async || {
        published_total(&cluster, "wxjava-mp", "fenced").await >= 1.0
    })
    .await;
    assert_eq!(text(&cluster, PLAIN).await, newest);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_unit_is_paused_its_keys_are_left_to_the_services_and_taken_over_afterwards() {
    let cluster = published(cluster().workers(2)).await;
    let command = async |word: &str| {
        let output = cluster.workers()[0].run_command(&[word, APP_ID]).await;
        assert!(output.status.success(), "{output:?}");
    };
    command("pause").await;
    let () = cluster.redis.command(&["SET", PLAIN, "the-services-own", "PX", "60000"]).await;
    let () = cluster.redis.command(&["DEL", QUOTED]).await;
    // A worker that looks says so by its answer: the state is read, and the keys are not touched.
    until(&cluster, "every worker knows of the pause", async || {
        let state = cluster.state().await;
        state.get("status").is_some_and(|status| status == "paused")
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(text(&cluster, PLAIN).await.as_deref(), Some("the-services-own"));
    assert_eq!(text(&cluster, QUOTED).await, None);
    let token = cluster.token().await;
    command("resume").await;
    until_current(&cluster).await;
    assert_eq!(cluster.token().await, token, "they were not taken over before the next refresh");
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_are_kept_current_for_sdks_like_tokens() {
    let cluster = published(cluster().workers(2).toml("tickets = [\"jsapi\"]")).await;
    let own = "zhongkong:{wx-test}:jsapi_ticket";
    let keys = ["wx:ticket:key:wx-test:jsapi", "wechatpy:wx-test_jsapi_ticket"];
    let end = "wechatpy:wx-test_jsapi_ticket_expires_at";
    let is_current = async || {
        let Some(ticket) = text(&cluster, own).await else { return false };
        text(&cluster, keys[0]).await.as_ref() == Some(&ticket)
            && text(&cluster, keys[1]).await == Some(format!("\"{ticket}\""))
            && text(&cluster, end).await.is_some()
    };
    until(&cluster, "SDKs find the ticket", async || is_current().await).await;
    for key in [keys[0], keys[1], end] {
        let () = cluster.redis.command(&["DEL", key]).await;
        until(&cluster, "SDKs find it again", async || is_current().await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_status_and_forget_know_the_keys_of_sdks() {
    let mut cluster = published(cluster().workers(1)).await;
    let run = async |cluster: &Cluster, words: &[&str]| {
        let output = cluster.workers()[0].run_command(words).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let keys = run(&cluster, &["keys", APP_ID]).await;
    for part in [PLAIN, QUOTED, END, HASH, "HGETALL", "RedisStorage(redis, prefix=\"wechatpy\")"] {
        assert!(keys.contains(part), "{part} is not in {keys}");
    }
    let status = run(&cluster, &["status"]).await;
    assert!(status.contains("current for SDKs: wxjava-mp, wechatpy"), "{status}");
    cluster.worker(1).kill9().await;
    let () = cluster.redis.command(&["DEL", PLAIN]).await;
    let status: serde_json::Value =
        serde_json::from_str(&run(&cluster, &["status", "--json"]).await).unwrap();
    let published = &status[0]["published"];
    assert_eq!(published[0], serde_json::json!({ "layout": "wxjava-mp", "current": false }));
    assert_eq!(published[1]["current"], true);
    run(&cluster, &["forget", APP_ID, "--yes"]).await;
    let left: Vec<String> = cluster.redis.command(&["KEYS", "*"]).await;
    let of_sdks = |key: &&String| key.contains("wechatpy") || key.contains("wx:") || *key == HASH;
    assert_eq!(left.iter().find(of_sdks), None, "{left:?}");
    assert!(!left.iter().any(|key| key == STATE_KEY), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_each_key_is_kept_current_in_its_own_slot() {
    let redis = RedisCluster::start(3, 0).await;
    let timings = Timings::default();
    let settings = Settings {
        life: timings.life,
        overlap: timings.overlap,
        accounts: vec![Account::new(APP_ID, SECRET)],
        ..Settings::default()
    };
    let simulator = Simulator::start(settings).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut workers: Vec<Worker> =
        (1..=2).map(|n| Worker::start(plan(n, &redis, &simulator, &directory))).collect();
    for worker in &mut workers {
        worker.wait_ready().await;
    }
    let get = async |key: &str| redis.command::<Option<String>>(key, &["GET", key]).await;
    let current = async || {
        let Some(token) = get(TOKEN_KEY).await else { return false };
        let newest = simulator.newest(APP_ID).map(|newest| newest.value);
        newest.as_ref() == Some(&token)
            && get(PLAIN).await.as_ref() == Some(&token)
            && get(QUOTED).await == Some(format!("\"{token}\""))
            && get(END).await.is_some()
    };
    let until_current = async |what: &str| {
        let came = holds_within(PATIENCE, async || current().await).await;
        let tails: String = workers.iter().map(Worker::tail).collect();
        assert!(came, "{what}\n{tails}");
    };
    until_current("published").await;
    let mut slots = Vec::new();
    for key in [TOKEN_KEY, PLAIN, QUOTED, END] {
        slots.push(redis.slot_of(key).await);
    }
    slots.dedup();
    assert_eq!(slots.len(), 4, "each is in a slot of its own");
    for key in [PLAIN, QUOTED, END] {
        let () = redis.command(key, &["DEL", key]).await;
        until_current(key).await;
    }
    let first = get(TOKEN_KEY).await;
    let came = holds_within(PATIENCE, async || get(TOKEN_KEY).await != first).await;
    assert!(came, "the next refresh");
    until_current("the next token").await;
}

fn plan(index: usize, redis: &RedisCluster, simulator: &Simulator, directory: &TempDir) -> Plan {
    let (name, port) = (format!("worker-{index}"), free_port());
    std::fs::write(directory.path().join(format!("{name}.secret")), SECRET).unwrap();
    let account = WorkerAccount { provider: "wechat", base_url: &simulator.url() };
    let text = configuration(&name, &redis.url(), port, &Timings::default(), account);
    Plan {
        name,
        binary: env!("CARGO_BIN_EXE_zhongkong-under-test").into(),
        directory: directory.path().to_owned(),
        configuration: text + "publish = [\"wxjava-mp\", \"wechatpy\"]\n",
        port,
        environment: vec![("RUST_LOG".to_owned(), "info".to_owned())],
        within: None,
    }
}

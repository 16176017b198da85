//! Redis is short of memory, held up, or cannot write to its disk.
//!
//! Whatever refuses an intent prevents the call, and the worker says what ails Redis and what to do.

use std::process::Command;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use zhongkong_testkit::{APP_ID, Cluster, Reader};

use crate::setup::{all_good, cluster, ms, settled_again, until, watched};

/// Long enough to be hindered over the moment when a token falls due, and to recover before it dies.
const LIFE: Duration = ms(14_000);

async fn settled() -> (Cluster, Reader) {
    watched(cluster().workers(2).life(LIFE)).await
}

async fn command(cluster: &Cluster, words: &[&str]) {
    let _: redis::Value = cluster.redis.command(words).await;
}

/// What `zhongkong check` and `zhongkong status` say.
async fn told(cluster: &Cluster) -> String {
    let mut told = String::new();
    for name in ["check", "status"] {
        let output = cluster.workers()[0].run_command(&[name]).await;
        told.push_str(&String::from_utf8(output.stdout).unwrap());
        told.push_str(&String::from_utf8(output.stderr).unwrap());
    }
    told
}

async fn all_say(cluster: &Cluster, what: &str) {
    until(cluster, what, async || cluster.workers().iter().all(|w| w.output().contains(what)))
        .await;
}

/// Every worker says what ails Redis, is not ready, and makes no call although one falls due.
async fn hindered(cluster: &Cluster, advice: &str) {
    let calls = cluster.simulator.calls(APP_ID);
    let says = |line: &str| !line.contains(" DEBUG ") && line.contains(advice);
    until(cluster, advice, async || {
        cluster.workers().iter().all(|worker| worker.output().lines().any(says))
    })
    .await;
    for worker in cluster.workers() {
        assert!(!worker.is_ready().await, "{}", worker.tail());
    }
    assert_eq!(cluster.simulator.calls(APP_ID), calls, "{}", cluster.tails());
}

/// The cluster works again by itself: the next refresh is made, by one call.
async fn recovered(cluster: &Cluster) {
    all_say(cluster, "redis answers again").await;
    let generation = cluster.state_number("generation").await;
    until(cluster, "the next refresh", async || {
        cluster.state_number("generation").await > generation
    })
    .await;
    settled_again(cluster).await;
    assert_eq!(cluster.simulator.max_overlap(APP_ID), 1);
}

/// A moment after the token falls due: what happens then must have begun.
async fn past_due(cluster: &Cluster) -> Instant {
    let now: (u64, u64) = cluster.redis.command(&["TIME"]).await;
    let due_ms = cluster.state_number("due_at_ms").await;
    let left_ms = due_ms.saturating_sub(now.0 * 1_000 + now.1 / 1_000);
    Instant::now() + ms(left_ms) + ms(1_500)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_costs_no_token() {
    let (cluster, mut reader) = settled().await;
    command(&cluster, &["CONFIG", "SET", "maxmemory", "1"]).await;
    all_say(&cluster, "redis has no memory left").await;
    let told = told(&cluster).await;
    assert_eq!(told.matches("memory is full (maxmemory)").count(), 2, "{told}");
    assert!(!told.contains("no worker lives"), "{told}");
    let generation = cluster.state_number("generation").await;
    until(&cluster, "two refreshes in a full redis", async || {
        cluster.state_number("generation").await >= generation + 2
    })
    .await;
    for worker in cluster.workers() {
        assert!(worker.is_ready().await, "{} is not ready", worker.name());
    }
    command(&cluster, &["CONFIG", "SET", "maxmemory", "0"]).await;
    all_say(&cluster, "redis has memory again").await;
    settled_again(&cluster).await;
    all_good(&reader.counts(), &cluster);
    assert_eq!(cluster.simulator.max_overlap(APP_ID), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_eviction_takes_is_back_and_no_token_is_dead() {
    let (cluster, mut reader) = settled().await;
    command(&cluster, &["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]).await;
    command(&cluster, &["CONFIG", "SET", "maxmemory", "8mb"]).await;
    let evicted = async || {
        let info: String = cluster.redis.command(&["INFO", "stats"]).await;
        let line = info.lines().find_map(|line| line.strip_prefix("evicted_keys:")).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    // A key in a thousand is the cluster's: after so many evictions each of those went more than once.
    let mut connection = cluster.redis.connect().await;
    let started = Instant::now();
    let fill = "for n = 1, 200 do redis.call('SET', 'filler:' .. ARGV[1] .. ':' .. n, string.rep('x', 8192)) end";
    let mut round = 0;
    while evicted().await < 20_000 && started.elapsed() < zhongkong_testkit::PATIENCE {
        let mut script = redis::cmd("EVAL");
        script.arg(fill).arg(0).arg(round);
        let () = script.query_async(&mut connection).await.unwrap();
        round += 1;
    }
    assert!(evicted().await >= 20_000);
    command(&cluster, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    command(&cluster, &["CONFIG", "SET", "maxmemory", "0"]).await;
    settled_again(&cluster).await;
    let counts = reader.counts();
    assert!(counts.absent > 0, "nothing of the cluster's was evicted: {counts:?}");
    assert_eq!((counts.dead, counts.redis_errors), (0, 0), "{counts:?}\n{}", cluster.tails());
    assert_eq!(cluster.simulator.max_overlap(APP_ID), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_paused_nothing_is_fetched() {
    let (cluster, mut reader) = settled().await;
    let past_due = past_due(&cluster).await;
    command(&cluster, &["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    hindered(&cluster, "redis does not answer").await;
    tokio::time::sleep_until(past_due).await;
    hindered(&cluster, "redis does not answer").await;
    command(&cluster, &["CLIENT", "UNPAUSE"]).await;
    recovered(&cluster).await;
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_somebodys_script_holds_redis_up_nothing_is_fetched() {
    let (cluster, mut reader) = settled().await;
    command(&cluster, &["CONFIG", "SET", "busy-reply-threshold", "50"]).await;
    // Connected before, since a busy server answers hardly anything.
    let mut rescuer = cluster.redis.connect().await;
    let mut connection = cluster.redis.connect().await;
    let past_due = past_due(&cluster).await;
    let mut hog = JoinSet::new();
    hog.spawn(async move {
        let mut script = redis::cmd("EVAL");
        script.arg("while true do end").arg(0);
        script.query_async::<()>(&mut connection).await
    });
    hindered(&cluster, "SCRIPT KILL").await;
    let told = told(&cluster).await;
    assert!(told.contains("SCRIPT KILL"), "{told}");
    tokio::time::sleep_until(past_due).await;
    hindered(&cluster, "SCRIPT KILL").await;
    let () = redis::cmd("SCRIPT").arg("KILL").query_async(&mut rescuer).await.unwrap();
    assert!(hog.join_next().await.unwrap().unwrap().is_err());
    recovered(&cluster).await;
    let counts = reader.counts();
    assert_eq!((counts.dead, counts.absent), (0, 0), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_loads_its_data_the_workers_wait() {
    // Half a millisecond for each key that is loaded, and an answer now and then meanwhile.
    let options = ["--appendonly", "yes", "--appendfsync", "always", "--key-load-delay", "1000"];
    let often = ["--loading-process-events-interval-bytes", "1024"];
    let cluster = cluster().workers(2).redis_options(&[&options[..], &often[..]].concat());
    let (mut cluster, mut reader) = watched(cluster).await;
    let calls = cluster.simulator.calls(APP_ID);
    let fill = "for n = 1, 4000 do redis.call('SET', 'filler:' .. n, string.rep('x', 1024)) end";
    command(&cluster, &["EVAL", fill, "0"]).await;
    command(&cluster, &["BGREWRITEAOF"]).await;
    until(&cluster, "the file is rewritten", async || {
        let info: String = cluster.redis.command(&["INFO", "persistence"]).await;
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrites:1")
    })
    .await;
    cluster.redis.kill().await;
    cluster.redis.restart().await;
    all_say(&cluster, "it loads its data after a start").await;
    all_say(&cluster, "redis answers again").await;
    settled_again(&cluster).await;
    let counts = reader.counts();
    assert_eq!((counts.dead, counts.absent), (0, 0), "{counts:?}");
    // Every token is fetched anew after a change of epoch, and nothing more.
    assert!(cluster.simulator.calls(APP_ID) <= calls + 2, "{}", cluster.tails());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_snapshot_nothing_is_fetched_until_one_succeeds() {
    let (cluster, mut reader) = settled().await;
    let past_due = past_due(&cluster).await;
    // What stands in the snapshot's way: a directory of its name, with something in it.
    let obstacle = cluster.redis.directory().join("dump.rdb");
    std::fs::create_dir_all(obstacle.join("obstacle")).unwrap();
    command(&cluster, &["CONFIG", "SET", "save", "86400 1"]).await;
    command(&cluster, &["BGSAVE"]).await;
    hindered(&cluster, "it cannot write to its disk").await;
    let told = told(&cluster).await;
    assert_eq!(told.matches("last snapshot failed").count(), 2, "{told}");
    tokio::time::sleep_until(past_due).await;
    hindered(&cluster, "it cannot write to its disk").await;
    std::fs::remove_dir_all(obstacle).unwrap();
    command(&cluster, &["BGSAVE"]).await;
    recovered(&cluster).await;
    all_good(&reader.counts(), &cluster);
}

/// A disk of four megabytes at a directory; it goes with this value.
struct SmallDisk<'a>(&'a std::path::Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a std::path::Path) -> Result<Self, String> {
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(at).output();
        let mount = mount.map_err(|error| format!("mount: {error}"))?;
        let said = String::from_utf8_lossy(&mount.stderr);
        if mount.status.success() { Ok(Self(at)) } else { Err(said.trim().to_owned()) }
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Redis may still run there. Nothing can be done if it stays.
        drop(Command::new("umount").arg("--lazy").arg(self.0).status());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_of_the_append_only_file_is_full_nothing_is_fetched() {
    let persistent = ["--appendonly", "yes", "--appendfsync", "everysec"];
    let mut cluster = cluster().workers(2).life(LIFE).redis_options(&persistent).prepare().await;
    let directory = cluster.redis.directory().to_owned();
    cluster.redis.kill().await;
    let disk = match SmallDisk::mount(&directory) {
        Ok(disk) => disk,
        Err(why) => return crate::faults::scene::skipped("a full disk", &why),
    };
    cluster.redis.restart().await;
    for index in 1..=2 {
        cluster.start_worker(index).wait_ready().await;
    }
    cluster.settle().await;
    let mut reader = cluster.reader();
    reader.begin_counting();

    let past_due = past_due(&cluster).await;
    let ballast = directory.join("ballast");
    let full = std::fs::write(&ballast, vec![0; 8 << 20]);
    assert!(full.is_err(), "the disk is larger than it should be");
    // More than may be left of the file's last page.
    command(&cluster, &["SET", "filler", &"x".repeat(8_192)]).await;
    hindered(&cluster, "it cannot write to its disk").await;
    let told = told(&cluster).await;
    assert_eq!(told.matches("cannot write its append-only file").count(), 2, "{told}");
    tokio::time::sleep_until(past_due).await;
    hindered(&cluster, "it cannot write to its disk").await;
    std::fs::remove_file(ballast).unwrap();
    recovered(&cluster).await;
    all_good(&reader.counts(), &cluster);
    drop(disk);
}

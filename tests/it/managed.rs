//! A Redis that refuses what some managed ones refuse. The worker works, and says what it then cannot do.

use zhongkong_testkit::{APP_ID, Cluster, ClusterBuilder};

use crate::setup::{all_good, cluster, force, settled_again, until};

/// A cluster whose workers log in as somebody who may not do `refused`.
async fn without(refused: &str, change: impl FnOnce(ClusterBuilder) -> ClusterBuilder) -> Cluster {
    let builder = cluster()
        .workers(2)
        .env("ZHONGKONG__REDIS__USERNAME", "worker")
        .env("ZHONGKONG__REDIS__PASSWORD", "a-password");
    let cluster = change(builder).prepare().await;
    let user = ["ACL", "SETUSER", "worker", "on", ">a-password", "~*", "&*", "+@all", refused];
    let () = cluster.redis.command(&user).await;
    cluster
}

async fn started(mut cluster: Cluster) -> Cluster {
    for index in 1..=2 {
        cluster.start_worker(index).wait_ready().await;
    }
    cluster.settle().await;
    cluster
}

/// Refreshes run on time and by one call each; the log and `check` say what is lacking.
async fn works(cluster: &Cluster, log: &str, check: &str) {
    let mut reader = cluster.reader();
    reader.begin_counting();
    let (calls, generation) =
        (cluster.simulator.calls(APP_ID), cluster.state_number("generation").await);
    until(cluster, "a scheduled refresh", async || {
        cluster.state_number("generation").await > generation
    })
    .await;
    settled_again(cluster).await;
    assert_eq!(cluster.simulator.calls(APP_ID), calls + 1, "{}", cluster.tails());
    all_good(&reader.counts(), cluster);
    for worker in cluster.workers() {
        let told = worker.output().matches(log).count();
        assert_eq!(told, 1, "{log:?} is to be said once\n{}", worker.tail());
    }
    let checked = cluster.workers()[0].run_command(&["check"]).await;
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{said}");
    assert!(said.contains(check), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_info_is_refused_the_epoch_rule_is_off_and_that_is_told() {
    let cluster = started(without("-info", |builder| builder).await).await;
    works(&cluster, "redis refuses INFO", "epoch: warning: INFO is refused").await;
    let shown = cluster.workers()[0].run_command(&["status"]).await;
    let shown = String::from_utf8(shown.stderr).unwrap();
    assert!(shown.contains("the epoch rule is off"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_tracking_is_refused_refreshes_go_on_and_that_is_told() {
    let cluster = started(without("-client|tracking", |builder| builder).await).await;
    works(&cluster, "redis refuses CLIENT TRACKING", "tracking: warning").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_wait_is_refused_no_replica_is_waited_for_and_that_is_told() {
    let cluster = without("-wait", |builder| builder).await;
    let _replica = cluster.redis.replica().await;
    let cluster = started(cluster).await;
    force(&cluster).await;
    until(&cluster, "a claim meets it", async || cluster.output().contains("refuses WAIT")).await;
    settled_again(&cluster).await;
    let unprotected = cluster.output().matches("too few replicas").count();
    assert_eq!(unprotected, 0, "{}", cluster.tails());
    let said = cluster.workers()[0].run_command(&["check"]).await;
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("replicas: warning: WAIT is refused"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_wait_is_refused_a_number_of_replicas_is_insisted_on_until_the_token_is_in_danger() {
    let insist = |builder: ClusterBuilder| builder.env("ZHONGKONG__REDIS__REPLICAS", "1");
    let cluster = started(without("-wait", insist).await).await;
    let generation = cluster.state_number("generation").await;
    let mut reader = cluster.reader();
    reader.begin_counting();
    until(&cluster, "a refresh without protection", async || {
        cluster.state_number("generation").await > generation
            && cluster.output().contains("unprotected: ")
    })
    .await;
    assert!(cluster.output().contains("only 0 of 1 replicas"), "{}", cluster.tails());
    all_good(&reader.counts(), &cluster);
}

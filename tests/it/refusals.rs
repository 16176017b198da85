//! The upstream refuses: whom it concerns, what it is called, and that it is over by itself.

use std::time::Duration;

use zhongkong_simulator::{AccountChange, FaultKind, Scope};
use zhongkong_testkit::{APP_ID, Cluster, SECRET};

use crate::setup::{
    all_good, cluster, first_worker, force, settled_again, until, until_refused, watched,
};

async fn status(cluster: &Cluster) -> String {
    cluster.state().await.get("status").cloned().unwrap_or_default()
}

async fn becomes(cluster: &Cluster, expected: &str) {
    until(cluster, expected, async || status(cluster).await == expected).await;
}

/// What `zhongkong status` says, on any worker's machine.
async fn shown(cluster: &Cluster) -> String {
    let output = cluster.workers()[0].run_command(&["status"]).await;
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_workers_is_not_on_the_ip_list_and_the_others_carry_on() {
    let (cluster, mut reader) = watched(cluster().workers(3).own_callers()).await;
    // The unit's first worker is the one that loses its place on the list.
    let index = first_worker(&cluster).await;
    let first = cluster.workers()[index].name().to_owned();
    let allowed = (1..=3).filter(|n| n - 1 != index).map(|n| cluster.caller_of(n)).collect();
    cluster.simulator.set_whitelist(APP_ID, Some(allowed)).unwrap();

    let before = cluster.token().await;
    until_refused(&cluster).await;
    assert_ne!(cluster.token().await, before);
    assert_ne!(cluster.state().await["worker"], first);
    let table = shown(&cluster).await;
    assert!(table.contains(&first) && table.contains("40164"), "{table}");
    let address = cluster.caller_of(index + 1).to_string();
    assert!(table.contains(&address), "the address is shown: {table}");

    // Once it is allowed again, nothing more is needed.
    cluster.simulator.set_whitelist(APP_ID, None).unwrap();
    until(&cluster, "the refusal is over", async || {
        force(&cluster).await;
        settled_again(&cluster).await;
        !cluster.state().await.contains_key("refusals")
    })
    .await;
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_the_old_secret_does_not_hold_up_one_with_the_new() {
    let (cluster, mut reader) = watched(cluster().workers(2)).await;
    let index = first_worker(&cluster).await;
    let first = cluster.workers()[index].name().to_owned();
    let other = 1 - index;
    // The secret is reset at the platform, and replaced on one of the two machines.
    cluster.simulator.set_secret(APP_ID, "the-new-secret-0123456789").unwrap();
    cluster.set_secret_file(other + 1, "the-new-secret-0123456789");

    let before = cluster.token().await;
    until_refused(&cluster).await;
    assert_ne!(cluster.token().await, before);
    assert_ne!(cluster.state().await["worker"], first);
    assert!(shown(&cluster).await.contains("AppSecret"), "{}", shown(&cluster).await);

    // With the new secret in its file, the first worker is back at once, long before the refusal ends.
    cluster.set_secret_file(index + 1, "the-new-secret-0123456789");
    until(&cluster, "the first worker refreshes again", async || {
        force(&cluster).await;
        settled_again(&cluster).await;
        cluster.state().await["worker"] == first
    })
    .await;
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_code_leads_to_its_status_while_the_valid_token_stays_served() {
    let (cluster, mut reader) = watched(cluster().workers(1)).await;
    for (code, expected) in [
        (40164, "ip_not_allowed"),
        (61004, "ip_not_allowed"),
        (89501, "awaiting_admin"),
        (89502, "awaiting_admin"),
        (89503, "awaiting_admin"),
        (89504, "awaiting_admin"),
        (89505, "awaiting_admin"),
        (89506, "blocked"),
        (89507, "blocked"),
        (45009, "throttled"),
        (45011, "throttled"),
        (40243, "account_frozen"),
        (50002, "account_frozen"),
        (50004, "account_frozen"),
        (50007, "account_frozen"),
        (40001, "misconfigured"),
        (40002, "misconfigured"),
        (40013, "misconfigured"),
        (40125, "misconfigured"),
        (41004, "misconfigured"),
        (99_999, "retrying"),
    ] {
        cluster.simulator.set_outcome(code, Scope::account(APP_ID));
        force(&cluster).await;
        let code = code.to_string();
        until(&cluster, "the refusal is recorded", async || {
            cluster.state().await.get("error_code") == Some(&code)
        })
        .await;
        let state = cluster.state().await;
        assert_eq!(state["status"], expected, "{code}");
        assert!(!state["error_message"].is_empty(), "{code}");
        let instant = |field: &str| state[field].parse::<u64>().unwrap();
        assert!(instant("retry_at_ms") > instant("claimed_at_ms"), "{code}");
        let table = shown(&cluster).await;
        assert!(table.contains(expected) && table.contains(&code), "{table}");
        let output = cluster.workers()[0].output();
        assert!(output.contains(&format!("upstream.code={code}")), "{code} is not in the log");
        cluster.simulator.clear_faults();
        force(&cluster).await;
        settled_again(&cluster).await;
    }
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_administrator_confirms_the_worker_recovers_by_itself() {
    let (cluster, mut reader) = watched(cluster().workers(1).own_callers()).await;
    let risky = AccountChange { risk: Some(true), ..AccountChange::default() };
    cluster.simulator.change_account(APP_ID, risky).unwrap();
    force(&cluster).await;
    becomes(&cluster, "awaiting_admin").await;
    cluster.simulator.confirm(APP_ID, cluster.caller_of(1)).unwrap();
    becomes(&cluster, "ok").await;
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_address_is_allowed_the_worker_recovers_by_itself() {
    let (cluster, mut reader) = watched(cluster().workers(1).own_callers()).await;
    cluster.simulator.set_whitelist(APP_ID, Some(Vec::new())).unwrap();
    force(&cluster).await;
    becomes(&cluster, "ip_not_allowed").await;
    cluster.simulator.set_whitelist(APP_ID, None).unwrap();
    becomes(&cluster, "ok").await;
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_answered_to_whoever_asked_with_the_upstreams_code_and_our_advice() {
    let cluster = cluster().workers(1).start().await;
    cluster.settle().await;
    cluster.simulator.set_outcome(40125, Scope::account(APP_ID));
    let (status, body) = crate::setup::refresh_at(&cluster, 0, true).await;
    assert_eq!((status, &body["code"]), (502, &"refused_by_upstream".into()), "{body}");
    assert_eq!(body["upstream"]["code"], 40125);
    assert!(body["upstream"]["advice"].as_str().unwrap().contains("AppSecret"));
    assert!(!body.to_string().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_every_call_is_refused_the_worker_backs_off() {
    let cluster = cluster().workers(3).start().await;
    cluster.settle().await;
    let busy = FaultKind::Errcode { errcode: 99_999, errmsg: None };
    cluster.simulator.set_fault(busy, Scope::account(APP_ID));
    let calls = cluster.simulator.calls(APP_ID);
    force(&cluster).await;
    // The scenario itself: as long as it takes for a storm to show.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let made = cluster.simulator.calls(APP_ID) - calls;
    assert!((1..=40).contains(&made), "{made} calls");
    assert_eq!(cluster.simulator.max_overlap(APP_ID), 1);
}

//! What Prometheus scrapes.

use std::fmt::Write;

use zhongkong_simulator::Scope;
use zhongkong_testkit::{APP_ID, Cluster, PATIENCE};

use crate::setup::{cluster, force, until};

async fn metrics(cluster: &Cluster) -> String {
    cluster.workers()[0].get("/metrics").await.unwrap().body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_kept_no_more_raises_no_alert() {
    let cluster = cluster().workers(1).start().await;
    cluster.settle().await;
    let ok =
        format!("zhongkong_unit_status{{id=\"{APP_ID}\",kind=\"access_token\",status=\"ok\"}}");
    assert!(metrics(&cluster).await.contains(&format!("{ok} 1\n")));
    let path = cluster.workers()[0].config_path();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[[credentials]]\n", "[[credentials]]\nid = \"other\"\n"))
        .unwrap();
    cluster.workers()[0].reload();
    let expires = "zhongkong_token_expires_timestamp_seconds";
    let gone = format!("{expires}{{id=\"{APP_ID}\",kind=\"access_token\"}} NaN\n");
    until(&cluster, "the credential is gone", async || metrics(&cluster).await.contains(&gone))
        .await;
    assert!(metrics(&cluster).await.contains(&format!("{ok} 0\n")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_series_of_more_than_a_thousand_credentials_fold_into_totals() {
    let open = |settings: &mut zhongkong_simulator::Settings| settings.open = true;
    let mut cluster = cluster().workers(1).life(PATIENCE * 10).upstream(open).prepare().await;
    let url = cluster.simulator.url();
    let mut more = String::new();
    for n in 0..1_000 {
        write!(
            more,
            "[[credentials]]\nprovider = \"wechat-stable\"\napp_id = \"wx{n}\"\n\
             secret = {{ file = \"worker-1.secret\" }}\nbase_url = {url:?}\noverlap = \"5s\"\nhold = \"500ms\"\n"
        )
        .unwrap();
    }
    let worker = cluster.start_worker(1);
    worker.kill9().await;
    let text = std::fs::read_to_string(worker.config_path()).unwrap();
    std::fs::write(worker.config_path(), text + &more).unwrap();
    worker.restart();
    worker.wait_ready().await;
    let all_ok = "zhongkong_unit_status{id=\"\",kind=\"access_token\",status=\"ok\"} 1001\n";
    until(&cluster, "all have a token", async || metrics(&cluster).await.contains(all_ok)).await;
    let text = metrics(&cluster).await;
    assert!(!text.contains("id=\"wx"), "{text}");
    let expires = "zhongkong_token_expires_timestamp_seconds{id=\"\",kind=\"access_token\"} ";
    let (_, rest) = text.split_once(expires).unwrap();
    let first: f64 = rest.lines().next().unwrap().parse().unwrap();
    let known = cluster.state_number("expires_at_ms").await as f64 / 1_000.0;
    assert!(first > 0.0 && first <= known + 0.001, "{first} {known}");
    // One of them is in trouble, and shows among all.
    cluster.simulator.set_outcome(50002, Scope::account(APP_ID));
    force(&cluster).await;
    let frozen = "status=\"account_frozen\"} 1\n";
    until(&cluster, "one is frozen", async || metrics(&cluster).await.contains(frozen)).await;
}

//! Nothing goes wrong.

use zhongkong_simulator::{Point, Scope};
use zhongkong_testkit::{APP_ID, Timings};

use crate::setup::{all_good, cluster, ms, refresh_at, until, watched};

/// As short as they can be for fifty refreshes, with half a second for every answer.
const QUICK: Timings = Timings {
    life: ms(3_200),
    overlap: ms(3_000),
    hold: ms(100),
    ahead: ms(1_600),
    request_timeout: ms(500),
    lease: ms(900),
    drain: ms(1_000),
    spacing: ms(200),
    human_poll: ms(300),
};

#[tokio::test(flavor = "multi_thread")]
async fn five_workers_make_exactly_fifty_calls_for_fifty_scheduled_refreshes() {
    let (cluster, mut reader) = watched(cluster().workers(5).timings(QUICK)).await;
    let calls = cluster.simulator.calls(APP_ID);
    let generation = cluster.state_number("generation").await;

    let patience = QUICK.life * 60;
    let fifty = async || cluster.state_number("generation").await >= generation + 50;
    cluster.wait_until("fifty refreshes", patience, fifty).await;

    assert_eq!(cluster.state_number("generation").await, generation + 50);
    assert_eq!(cluster.simulator.calls(APP_ID), calls + 50, "{}", cluster.tails());
    assert_eq!(cluster.simulator.max_overlap(APP_ID), 1);
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_start_makes_one_call_and_one_more_after_its_drain() {
    let cluster = cluster().workers(3).start().await;
    cluster.settle().await;
    let summary = cluster.simulator.summary(APP_ID);
    assert_eq!((summary.calls, summary.max_overlapping), (2, 1));
    let journal = cluster.simulator.journal_of(APP_ID);
    let between = journal.calls[1].received_at_ms - journal.calls[0].received_at_ms;
    // The drain is counted from claim to claim; how long each call took to arrive differs a little.
    assert!(u128::from(between) + 100 >= cluster.timings().drain.as_millis(), "{between} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_refresh_is_one_call_however_many_ask_for_it() {
    let cluster = cluster().workers(3).start().await;
    cluster.settle().await;
    let calls = cluster.simulator.calls(APP_ID);
    let before = cluster.token().await;
    // The call stands still until all have asked.
    cluster.simulator.hold(Point::Received, Scope::account(APP_ID).times(1));
    let all_asked = async {
        cluster.simulator.wait_held(1).await;
        cluster.simulator.release_all();
    };
    let (a, b, c, d, ()) = tokio::join!(
        biased;
        refresh_at(&cluster, 0, true),
        refresh_at(&cluster, 1, true),
        refresh_at(&cluster, 2, true),
        refresh_at(&cluster, 0, true),
        all_asked,
    );
    let after = cluster.token().await;
    assert_ne!(before, after);
    for (status, body) in [a, b, c, d] {
        assert_eq!(status, 200, "{body}");
    }
    assert_eq!(cluster.simulator.calls(APP_ID), calls + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_is_not_owed_is_answered_with_the_current_token_and_no_call() {
    let cluster = cluster().workers(1).start().await;
    cluster.settle().await;
    let calls = cluster.simulator.calls(APP_ID);
    let (status, body) = refresh_at(&cluster, 0, false).await;
    assert_eq!((status, &body["outcome"]), (200, &"still_valid".into()));
    assert_eq!(body["token"].as_str().map(ToOwned::to_owned), cluster.token().await);
    assert_eq!(cluster.simulator.calls(APP_ID), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stable_endpoint_is_polled_until_it_renews_and_no_reader_notices() {
    let (cluster, mut reader) = watched(cluster().workers(2).stable().life(ms(8_000))).await;
    let first = cluster.token().await;
    until(&cluster, "the token is renewed", async || cluster.token().await != first).await;
    assert!(cluster.newest_is_published().await);
    all_good(&reader.counts(), &cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_4096_characters_passes_through_unharmed() {
    let cluster =
        cluster().workers(1).upstream(|settings| settings.token_length = 4_096).start().await;
    cluster.settle().await;
    let token = cluster.token().await.unwrap();
    assert_eq!(token.len(), 4_096);
    assert!(cluster.simulator.is_alive(APP_ID, &token));
}

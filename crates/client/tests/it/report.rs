//! A rejected token is reported, and the next one awaited.

use std::sync::Arc;
use std::time::Duration;

use zhongkong_client::{Fingerprint, ReportError};
use zhongkong_testkit::{PATIENCE, wait_until};

use crate::scene::{ID, SHORT, Scene, ready, shows, watch};

#[tokio::test]
async fn a_report_names_the_token_by_its_fingerprint_alone() {
    let scene = Scene::new().await;
    scene.publish("dead-token").await;
    let (_client, reader) = watch(scene.builder());
    let token = ready(&reader).await;
    reader.report(&token).await.unwrap();
    let reports = scene.reports().await;
    let [(_, fields)] = reports.as_slice() else { panic!("{reports:?}") };
    let fingerprint = Fingerprint::of("dead-token");
    let expected = ["id", ID, "kind", "access_token", "fingerprint", fingerprint.as_str()];
    assert_eq!(fields, &expected);
}

#[tokio::test]
async fn a_rejected_token_that_was_replaced_meanwhile_is_not_reported() {
    let scene = Scene::new().await;
    scene.publish("old").await;
    let (_client, reader) = watch(scene.builder());
    let old = ready(&reader).await;
    scene.publish("new").await;
    // Whether the copy followed already or not.
    let new = reader.rejected(&old, PATIENCE).await.unwrap();
    assert_eq!(new.expose(), "new");
    let again = reader.rejected(&old, Duration::ZERO).await.unwrap();
    assert_eq!(again.expose(), "new");
    assert_eq!(scene.reports().await, []);
}

#[tokio::test]
async fn a_rejected_token_is_read_again_where_changes_are_not_told() {
    let scene = Scene::new().await;
    scene.user("shop", &["+get", "%R~*"]).await;
    scene.publish("old").await;
    let (_client, reader) = watch(scene.builder().username("shop").password("s3cret"));
    let old = ready(&reader).await;
    scene.publish("new").await;
    // Without the right to report: it must not come to that.
    let new = reader.rejected(&old, PATIENCE).await.unwrap();
    assert_eq!(new.expose(), "new");
}

#[tokio::test]
async fn a_hundred_rejections_at_once_are_one_report_and_all_get_the_next_token() {
    let scene = Arc::new(Scene::new().await);
    scene.publish("dead").await;
    let (_client, reader) = watch(scene.builder());
    let dead = ready(&reader).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (reader, dead) = (reader.clone(), dead.clone());
        calls.spawn(async move { reader.rejected(&dead, PATIENCE).await.map(|t| t.clone()) });
    }
    wait_until("the report", PATIENCE, async || !scene.reports().await.is_empty()).await;
    scene.publish("alive").await;
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.unwrap().unwrap().expose(), "alive");
    }
    assert_eq!(scene.reports().await.len(), 1);
    // Another token is another report.
    let alive = ready(&reader).await;
    reader.rejected(&alive, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(scene.reports().await.len(), 2);
}

#[tokio::test]
async fn without_a_newer_token_the_wait_ends() {
    let scene = Scene::new().await;
    scene.publish("accepted-after-all").await;
    let (_client, reader) = watch(scene.builder());
    let token = ready(&reader).await;
    let error = reader.rejected(&token, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(error, ReportError::NoneNewer);
    assert_eq!(scene.reports().await.len(), 1);
    assert_eq!(reader.current().unwrap().expose(), "accepted-after-all");
}

#[tokio::test]
async fn without_a_token_in_redis_nothing_is_reported_and_the_next_one_awaited() {
    let scene = Scene::new().await;
    scene.publish("dead").await;
    let (_client, reader) = watch(scene.builder());
    let dead = ready(&reader).await;
    scene.delete().await;
    let (answer, ()) = tokio::join!(reader.rejected(&dead, PATIENCE), scene.publish("alive"));
    assert_eq!(answer.unwrap().expose(), "alive");
    assert_eq!(scene.reports().await, []);
}

#[tokio::test]
async fn without_redis_a_report_says_so() {
    let mut scene = Scene::new().await;
    scene.publish("dead").await;
    let (client, reader) = watch(scene.builder().max_age(SHORT));
    let dead = ready(&reader).await;
    scene.redis.kill().await;
    wait_until("the loss is noticed", PATIENCE, async || client.mode().is_none()).await;
    for error in [
        reader.report(&dead).await.unwrap_err(),
        reader.rejected(&dead, PATIENCE).await.unwrap_err(),
    ] {
        assert!(matches!(error, ReportError::Unavailable(_)), "{error:?}");
    }
    scene.redis.restart().await;
    scene.publish("alive").await;
    shows(&reader, "alive").await;
}

//! A copy follows its key.

use std::time::Duration;

use tokio::time::Instant;
use zhongkong_client::{Client, Mode, NoToken, Unit};
use zhongkong_testkit::{PATIENCE, wait_until};

use crate::scene::{ID, KEY, SHORT, Scene, ready, refuses, shows, watch};

/// With the bound of 10 s everything is read again each 3 s: what is followed faster was told.
const TOLD: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_replaced_token_is_followed_as_soon_as_redis_tells() {
    let scene = Scene::new().await;
    scene.publish("first").await;
    let (client, reader) = watch(scene.builder());
    assert_eq!(ready(&reader).await.expose(), "first");
    assert_eq!(client.mode(), Some(Mode::Tracking));
    let begun = Instant::now();
    for turn in 0..10 {
        let token = format!("token-{turn}");
        scene.publish(&token).await;
        shows(&reader, &token).await;
    }
    assert!(begun.elapsed() < TOLD, "{:?} for ten replacements", begun.elapsed());
}

#[tokio::test]
async fn a_burst_of_replacements_ends_with_the_last_one() {
    let scene = Scene::new().await;
    let (_client, reader) = watch(scene.builder());
    let mut writer = scene.redis.connect().await;
    let begun = Instant::now();
    for turn in 0..40 {
        let mut burst = redis::pipe();
        for number in 0..100 {
            burst.cmd("SET").arg(KEY).arg(format!("token-{turn}-{number}")).ignore();
        }
        burst.exec_async(&mut writer).await.unwrap();
        shows(&reader, &format!("token-{turn}-99")).await;
    }
    assert!(begun.elapsed() < 2 * TOLD, "{:?} for forty bursts", begun.elapsed());
}

#[tokio::test]
async fn a_key_that_is_gone_is_an_absence_and_its_return_is_followed() {
    let scene = Scene::new().await;
    let (_client, reader) = watch(scene.builder());
    for vanish in [["DEL", KEY].as_slice(), &["FLUSHALL"]] {
        let begun = Instant::now();
        for turn in 0..3 {
            let token = format!("token-{turn}");
            scene.publish(&token).await;
            shows(&reader, &token).await;
            let _: redis::Value = scene.redis.command(vanish).await;
            refuses(&reader, |why| *why == NoToken::Absent).await;
        }
        assert!(begun.elapsed() < TOLD, "{:?} for three of {vanish:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_token_is_not_handed_out_past_its_end() {
    let mut scene = Scene::new().await;
    let life = Duration::from_millis(1500);
    let begun = Instant::now();
    scene.publish_for("short", life).await;
    let (_client, reader) = watch(scene.builder());
    let current = ready(&reader).await;
    assert!(current.expires_in().is_some_and(|left| left <= life));
    // Nobody can tell of the end any more: the copy knows it, and is far from its bound.
    scene.redis.kill().await;
    let error = refuses(&reader, |_| true).await;
    assert!(matches!(error, NoToken::Expired { .. }), "{error:?}");
    assert!(begun.elapsed() >= life / 2);
    assert_eq!(current.expires_in(), Some(Duration::ZERO));
}

#[tokio::test]
async fn a_copy_that_nobody_changes_stays_young() {
    let scene = Scene::new().await;
    scene.publish("only").await;
    let (_client, reader) = watch(scene.builder().max_age(SHORT));
    ready(&reader).await;
    let until = Instant::now() + 2 * SHORT;
    while Instant::now() < until {
        let current = reader.current().unwrap();
        assert!(current.age() < SHORT && current.expose() == "only");
        drop(current);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn many_units_are_followed_and_dropped_ones_are_left_alone() {
    let scene = Scene::new().await;
    let client = scene.builder().max_age(SHORT).start().unwrap();
    let watch = |number| client.access_token(&format!("wx{number}")).unwrap();
    let readers: Vec<_> = (0..300).map(watch).collect();
    let mut writer = scene.redis.connect().await;
    for round in ["a", "b"] {
        let mut publish = redis::pipe();
        for number in 0..300 {
            let key = format!("zhongkong:{{wx{number}}}:access_token");
            publish.cmd("SET").arg(key).arg(format!("token-{number}-{round}")).ignore();
        }
        publish.exec_async(&mut writer).await.unwrap();
        for (number, reader) in readers.iter().enumerate() {
            shows(reader, &format!("token-{number}-{round}")).await;
        }
    }
    let kept = readers[7].clone();
    drop(readers);
    let reads = async || scene.redis.calls_of("get").await;
    let before = reads().await;
    wait_until("three rounds", PATIENCE, async || reads().await >= before + 3).await;
    assert!(reads().await < before + 300);
    assert_eq!(kept.current().unwrap().expose(), "token-7-b");
}

#[tokio::test]
async fn all_handles_of_a_unit_share_one_copy() {
    let scene = Scene::new().await;
    scene.publish("only").await;
    let (client, reader) = watch(scene.builder());
    ready(&reader).await;
    // No waiting: the copy is there.
    let other = client.reader(Unit::access_token(ID.parse().unwrap()));
    assert_eq!(other.current().unwrap().expose(), "only");
    drop((client, reader));
    scene.publish("next").await;
    shows(&other, "next").await;
}

#[tokio::test]
async fn another_prefix_a_number_and_a_socket_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock");
    let scene = Scene::with(&["--unixsocket", socket.to_str().unwrap()]).await;
    let mut writer = scene.redis.connect().await;
    let mut publish = redis::pipe();
    publish.cmd("SELECT").arg(3).ignore();
    publish.cmd("SET").arg(format!("shop:a:{{{ID}}}:access_token")).arg("in-three").ignore();
    publish.exec_async(&mut writer).await.unwrap();
    for url in [format!("unix://{}?db=3", socket.display()), format!("{}/3", scene.redis.url())] {
        let builder = Client::builder(&url).prefix("shop:a");
        let (_client, reader) = watch(builder);
        assert_eq!(ready(&reader).await.expose(), "in-three");
    }
}

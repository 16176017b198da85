//! No token and no password in what is printed.

use std::time::Duration;

use zhongkong_client::{Client, NoToken};

use crate::scene::{KEY, SHORT, Scene, ready, refuses, watch};

const TOKEN: &str = "72_topsecrettoken";

#[tokio::test]
async fn debug_output_and_errors_have_no_token_and_no_password() {
    let mut scene = Scene::new().await;
    scene.user("shop", &["+@all", "~*"]).await;
    scene.publish(TOKEN).await;
    let builder = scene.builder().username("shop").password("s3cret").max_age(SHORT);
    let before = format!("{builder:?}");
    let (client, reader) = watch(builder);
    let current = ready(&reader).await;
    let during = format!("{client:?} {reader:?} {current:?} {:?}", current.clone());
    scene.redis.kill().await;
    let stale = refuses(&reader, |why| matches!(why, NoToken::Stale { .. })).await;
    let report = reader.report(&current).await.unwrap_err();
    let after = format!("{stale} {stale:?} {report} {report:?} {client:?} {reader:?}");
    let shown = [before, during, after].concat();
    assert!(!shown.contains("topsecret") && !shown.contains("s3cret"), "{shown}");
    assert!(shown.contains(current.fingerprint().as_str()));
}

#[tokio::test]
async fn what_is_no_token_is_not_handed_out_and_not_shown() {
    let scene = Scene::new().await;
    for (command, value) in [("SET", "topsecret with spaces"), ("LPUSH", "topsecret")] {
        scene.delete().await;
        let _: redis::Value = scene.redis.command(&[command, KEY, value]).await;
        let (_client, reader) = watch(scene.builder());
        let error = refuses(&reader, |why| matches!(why, NoToken::Unread { why: Some(_) })).await;
        assert!(!format!("{error} {error:?}").contains("topsecret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_repeats_what_it_does_not_know_gives_no_password_away() {
    // What a redis-server answers to HELLO that was renamed, and proxies that do not know it.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            let said = b"-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'shop' 's3cret' \r\n";
            stream.try_write(said).unwrap();
        }
    });
    let url = format!("redis://shop:s3cret@127.0.0.1:{port}");
    let builder = Client::builder(&url).max_age(Duration::from_secs(1));
    let (client, reader) = watch(builder);
    let error = refuses(&reader, |why| matches!(why, NoToken::Unread { why: Some(_) })).await;
    let shown = format!("{error} {error:?} {client:?}");
    assert!(shown.contains("127.0.0.1") && !shown.contains("s3cret"), "{shown}");
}

//! What a reader's user must be allowed to, and what is done without.

use zhongkong_client::{Mode, NoToken, ReportError};

use crate::scene::{KEY, SHORT, Scene, ready, refuses, shows, watch};

/// What the README asks for.
const RIGHTS: [&str; 6] =
    ["+get", "+pttl", "+client|tracking", "%R~zhongkong:*", "+xadd", "%W~zhongkong:reports"];

/// Redis' own words, which begin with a capital letter in newer versions.
fn is_about_rights(said: &str) -> bool {
    said.to_lowercase().contains("no permissions")
}

#[tokio::test]
async fn the_rights_that_are_asked_for_are_enough() {
    let scene = Scene::new().await;
    scene.user("shop", &RIGHTS).await;
    scene.publish("first").await;
    let (client, reader) = watch(scene.builder().username("shop").password("s3cret"));
    let current = ready(&reader).await;
    assert!(client.mode() == Some(Mode::Tracking) && current.expires_in().is_some());
    reader.report(&current).await.unwrap();
    scene.publish("second").await;
    shows(&reader, "second").await;
    let denied: Vec<redis::Value> = scene.redis.command(&["ACL", "LOG"]).await;
    assert_eq!(denied, []);
}

#[tokio::test]
async fn get_alone_is_enough_to_follow() {
    let scene = Scene::new().await;
    let key = format!("%R~{KEY}");
    scene.user("shop", &["+get", &key]).await;
    scene.publish("first").await;
    let (client, reader) =
        watch(scene.builder().username("shop").password("s3cret").max_age(SHORT));
    let current = ready(&reader).await;
    assert!(client.mode() == Some(Mode::Polling) && current.expires_in().is_none());
    scene.publish("second").await;
    shows(&reader, "second").await;
    scene.delete().await;
    refuses(&reader, |why| *why == NoToken::Absent).await;
    let error = reader.report(&current).await.unwrap_err();
    let ReportError::Refused(why) = error else { panic!("{error:?}") };
    assert!(is_about_rights(&why.to_string()), "{why}");
}

#[tokio::test]
async fn a_key_that_may_not_be_read_says_so_and_hinders_no_other() {
    let scene = Scene::new().await;
    let key = format!("%R~{KEY}");
    scene.user("shop", &["+get", "+pttl", "+client|tracking", &key]).await;
    scene.publish("first").await;
    let (client, reader) = watch(scene.builder().username("shop").password("s3cret"));
    let foreign = client.access_token("wx-of-others").unwrap();
    let error = refuses(&foreign, |why| matches!(why, NoToken::Unread { why: Some(_) })).await;
    assert!(is_about_rights(&error.to_string()), "{error}");
    assert_eq!(ready(&reader).await.expose(), "first");
    scene.publish("second").await;
    shows(&reader, "second").await;
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_shown() {
    let scene = Scene::new().await;
    scene.user("shop", &RIGHTS).await;
    let () = scene.redis.command(&["ACL", "SETUSER", "default", "off"]).await;
    for builder in [scene.builder().username("shop").password("wr0ng"), scene.builder()] {
        let (_client, reader) = watch(builder.max_age(SHORT));
        let error = refuses(&reader, |why| matches!(why, NoToken::Unread { why: Some(_) })).await;
        let shown = format!("{error}");
        assert!(shown.contains("refuses the login") && !shown.contains("wr0ng"), "{shown}");
    }
}

//! Encrypted connections, with authorities of one's own.

use zhongkong_client::{Builder, Client, NoToken, SettingsError};
use zhongkong_testkit::Authority;
use zhongkong_testkit::ports::free_port;

use crate::scene::{SHORT, Scene, ready, refuses, shows, watch};

/// A Redis that shows a certificate for `name`.
async fn redis(authority: &Authority, name: &str, asks_for_certificates: bool) -> (Scene, Builder) {
    let port = free_port();
    let options = authority.redis_options(port, &authority.sign(name), asks_for_certificates);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let scene = Scene::with(&options).await;
    scene.publish("first").await;
    (scene, Client::builder(&format!("rediss://127.0.0.1:{port}")).max_age(SHORT))
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let (mut scene, builder) = redis(&authority, "127.0.0.1", false).await;
    let (_client, reader) = watch(builder.ca(authority.ca()));
    assert_eq!(ready(&reader).await.expose(), "first");
    scene.redis.restart().await;
    scene.publish("second").await;
    shows(&reader, "second").await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let (_scene, builder) = redis(&authority, "redis.example", false).await;
    let (_client, reader) = watch(builder.ca(authority.ca()));
    let error = refuses(&reader, |why| matches!(why, NoToken::Unread { why: Some(_) })).await;
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn another_authority_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (_scene, builder) = redis(&authority, "127.0.0.1", false).await;
    // The system's authorities do not know this one either.
    for builder in [builder.clone().ca(other.ca()), builder] {
        let (_client, reader) = watch(builder);
        let error = refuses(&reader, |why| matches!(why, NoToken::Unread { why: Some(_) })).await;
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_is_shown_where_redis_asks_for_one() {
    let authority = Authority::new();
    let (_scene, builder) = redis(&authority, "127.0.0.1", true).await;
    let builder = builder.ca(authority.ca());
    let [certificate, key] = authority.sign("shop");
    let (_client, reader) = watch(builder.clone().client_certificate(certificate, key));
    assert_eq!(ready(&reader).await.expose(), "first");
    let (_client, reader) = watch(builder);
    refuses(&reader, |why| matches!(why, NoToken::Unread { why: Some(_) })).await;
}

#[tokio::test]
async fn files_that_are_of_no_use_are_refused_at_the_start() {
    let authority = Authority::new();
    let [certificate, key] = authority.sign("shop");
    let builder = || Client::builder("rediss://localhost");
    for (builder, file) in [
        (builder().ca(authority.file("absent.pem")), "absent.pem"),
        (builder().ca(&key), "shop.key"),
        (builder().client_certificate(&certificate, authority.ca()), "ca.pem"),
    ] {
        let error = builder.start().unwrap_err();
        assert!(
            matches!(&error, SettingsError::File { path, .. } if path.ends_with(file)),
            "{error}"
        );
    }
}

//! A redis-server of one's own, and what tests do to it.

use std::time::Duration;

use zhongkong_client::{Builder, Client, Current, NoToken, Reader};
use zhongkong_testkit::{PATIENCE, RedisServer, wait_until};

pub(crate) const ID: &str = "wx0123456789abcdef";
pub(crate) const KEY: &str = "zhongkong:{wx0123456789abcdef}:access_token";
/// Short, so that a copy's end need not be waited for long; long enough for a loaded machine to confirm it in time.
pub(crate) const SHORT: Duration = Duration::from_secs(2);

pub(crate) struct Scene {
    pub(crate) redis: RedisServer,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(options: &[&str]) -> Self {
        Self { redis: RedisServer::start_with(options, &[]).await }
    }

    pub(crate) fn builder(&self) -> Builder {
        Client::builder(&self.redis.url())
    }

    /// What a worker does when it commits: the token, with its life.
    pub(crate) async fn publish(&self, token: &str) {
        self.publish_for(token, Duration::from_hours(2)).await;
    }

    pub(crate) async fn publish_for(&self, token: &str, life: Duration) {
        let life_ms = life.as_millis().to_string();
        let () = self.redis.command(&["SET", KEY, token, "PX", &life_ms]).await;
    }

    pub(crate) async fn delete(&self) {
        let () = self.redis.command(&["DEL", KEY]).await;
    }

    /// A user with these rights and no others; the password is `s3cret`.
    pub(crate) async fn user(&self, name: &str, rights: &[&str]) {
        let head = ["ACL", "SETUSER", name, "reset", "on", ">s3cret"];
        let () = self.redis.command(&[&head, rights].concat()).await;
    }

    pub(crate) async fn reports(&self) -> Vec<(String, Vec<String>)> {
        self.redis.command(&["XRANGE", "zhongkong:reports", "-", "+"]).await
    }
}

pub(crate) fn watch(builder: Builder) -> (Client, Reader) {
    let client = builder.start().unwrap();
    let reader = client.access_token(ID).unwrap();
    (client, reader)
}

pub(crate) async fn ready(reader: &Reader) -> Current {
    reader.ready(PATIENCE).await.unwrap()
}

pub(crate) async fn shows(reader: &Reader, token: &str) {
    wait_until(&format!("the reader shows {token}"), PATIENCE, async || {
        reader.current().is_ok_and(|current| current.expose() == token)
    })
    .await;
}

/// Waits until nothing is handed out for this reason.
pub(crate) async fn refuses(reader: &Reader, reason: impl Fn(&NoToken) -> bool) -> NoToken {
    let mut last = None;
    wait_until("the reader refuses", PATIENCE, async || {
        last = reader.current().err();
        last.as_ref().is_some_and(&reason)
    })
    .await;
    last.unwrap()
}

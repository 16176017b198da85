//! The script that publishes at the keys of SDKs, beside what the core decides of the same key.

#![expect(clippy::unwrap_used, reason = "a broken fixture must stop the test at once")]

use std::collections::BTreeSet;

use zhongkong_core::ports::Store;
use zhongkong_core::publication::{Entry, Outcome, Publication, Stored, Value};
use zhongkong_redis::{
    Access, Deployment, Keys, RedisAddress, RedisSettings, RedisStore, Replicas,
};
use zhongkong_testkit::RedisServer;

const TEXT: &str = "sdk:text";
const HASH: &str = "sdk:hash";
const STEPS: u64 = 1_500;

/// Numbers that are the same at each run.
struct Dice(u64);

impl Dice {
    fn of(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn store(server: &RedisServer) -> RedisStore {
    let settings = RedisSettings {
        deployment: Deployment::Server(RedisAddress::Tcp("127.0.0.1".to_owned(), server.port())),
        access: Access::default(),
    };
    RedisStore::new(&settings, Keys::new("zk"), Replicas::Auto)
}

async fn now_ms(server: &RedisServer) -> u64 {
    let (seconds, micros): (u64, u64) = server.command(&["TIME"]).await;
    seconds * 1_000 + micros / 1_000
}

/// What stands at the keys of `entry`.
async fn stored(server: &RedisServer, entry: &Entry) -> Stored {
    let fence: Option<u64> = server.command(&["GET", &Keys::new("zk").published(&entry.key)]).await;
    let form: String = server.command(&["TYPE", &entry.key]).await;
    let value = match (&entry.value, form.as_str()) {
        (_, "none") => None,
        (Value::Text(_), "string") => Some(Value::Text(server.command(&["GET", &entry.key]).await)),
        (Value::Fields(fields), "hash") => {
            let mut found = Vec::new();
            for (name, _) in fields {
                let text: Option<Vec<u8>> = server.command(&["HGET", &entry.key, name]).await;
                found.push((name.clone(), text.unwrap_or_default()));
            }
            Some(Value::Fields(found))
        }
        // Of another type: nothing that could be told.
        (Value::Text(_), _) => Some(Value::Text(Vec::new())),
        (Value::Fields(fields), _) => {
            let empty = fields.iter().map(|(name, _)| (name.clone(), Vec::new()));
            Some(Value::Fields(empty.collect()))
        }
    };
    let ttl: i64 = server.command(&["PTTL", &entry.key]).await;
    Stored { fence: fence.unwrap_or(0), value, ttl_ms: u64::try_from(ttl).ok() }
}

async fn spoil(server: &RedisServer, dice: &mut Dice) {
    let key = [TEXT, HASH][usize::try_from(dice.of(2)).unwrap()];
    let command: &[&str] = match dice.of(7) {
        0 => &["DEL", key],
        1 => &["SET", key, "foreign", "PX", "50000"],
        2 => &["PERSIST", key],
        3 => &["PEXPIRE", key, "20000"],
        4 => &["HSET", HASH, "value", "foreign"],
        5 => &["HDEL", HASH, "expire"],
        _ => &["RPUSH", "other", "of another type"],
    };
    let mut spoiling = redis::cmd(command[0]);
    spoiling.arg(&command[1..]);
    // What does not fit what stands there is refused, and changes nothing.
    spoiling.query_async::<redis::Value>(&mut server.connect().await).await.ok();
}

fn publication(dice: &mut Dice, now_ms: u64) -> Publication {
    // Times that are far enough from each other for a step to take a while.
    let left_ms = [0, 100_000, 100_000, 40_000][usize::try_from(dice.of(4)).unwrap()];
    let token = format!("token-{}", dice.of(3)).into_bytes();
    let fields = vec![("value".to_owned(), token.clone()), ("expire".to_owned(), b"99".to_vec())];
    let ttl_max_ms = (dice.of(3) == 0).then_some(20_000);
    let mut entries = vec![
        Entry { key: TEXT.to_owned(), value: Value::Text(token), ttl_max_ms },
        Entry { key: HASH.to_owned(), value: Value::Fields(fields), ttl_max_ms: None },
    ];
    if dice.of(3) == 0 {
        entries.pop();
    }
    // As long as a fence really is.
    let token_fence = 1_795_380_778_916_500 + dice.of(4);
    let expires_at_ms = now_ms + left_ms;
    Publication { token_fence, expires_at_ms, left_ms, entries }
}

#[tokio::test]
async fn the_script_decides_as_the_core_does_whatever_stands_there() {
    let server = RedisServer::start().await;
    let store = store(&server);
    let mut dice = Dice(7);
    let mut met = BTreeSet::new();
    for step in 0..STEPS {
        if dice.of(2) == 0 {
            spoil(&server, &mut dice).await;
        }
        if dice.of(50) == 0 {
            let () = server.command(&["FLUSHALL"]).await;
        }
        let publication = publication(&mut dice, now_ms(&server).await);
        let mut found = Vec::new();
        for entry in &publication.entries {
            found.push(stored(&server, entry).await);
        }
        let now_ms = now_ms(&server).await;
        let fenced = found.iter().any(|stored| stored.fence > publication.token_fence);
        let expected = publication.entries.iter().zip(&found).map(|(entry, stored)| {
            if fenced { Outcome::Fenced } else { publication.settle(entry, stored, now_ms) }
        });
        let expected: Vec<Outcome> = expected.collect();
        let outcomes = store.publish(&publication).await.unwrap();
        assert_eq!(outcomes, expected, "step {step}: {publication:?} on {found:?}");
        for ((entry, outcome), before) in publication.entries.iter().zip(&outcomes).zip(&found) {
            met.insert(format!("{outcome:?}").chars().take(14).collect::<String>());
            let after = stored(&server, entry).await;
            match outcome {
                Outcome::Fenced => {
                    assert_eq!((after.fence, &after.value), (before.fence, &before.value));
                }
                Outcome::Ended => assert!(!entry.is_held_by(after.value.as_ref())),
                _ => {
                    assert_eq!(after.fence, publication.token_fence);
                    assert!(entry.is_held_by(after.value.as_ref()));
                    let ttl_ms = after.ttl_ms.unwrap();
                    assert!(ttl_ms <= entry.ttl_ms(publication.left_ms) + 1_000, "{ttl_ms}");
                }
            }
        }
    }
    let all = [
        "Current",
        "Ended",
        "Fenced",
        "Repaired(Gone",
        "Repaired(Other",
        "Repaired(Misti",
        "Written",
    ];
    let met: Vec<&str> = met.iter().map(String::as_str).collect();
    for outcome in all {
        assert!(met.iter().any(|of| of.starts_with(outcome)), "{outcome} was never met: {met:?}");
    }
}

#[tokio::test]
async fn an_older_token_is_held_off_for_as_long_as_it_could_live() {
    let server = RedisServer::start().await;
    let store = store(&server);
    let now_ms = now_ms(&server).await;
    let publish = async |token_fence, left_ms, token: &str| {
        let value = Value::Text(token.as_bytes().to_vec());
        let entry = Entry { key: TEXT.to_owned(), value, ttl_max_ms: None };
        let expires_at_ms = now_ms + left_ms;
        let publication = Publication { token_fence, expires_at_ms, left_ms, entries: vec![entry] };
        store.publish(&publication).await.unwrap().remove(0)
    };
    assert_eq!(publish(1, 7_000_000, "older").await, Outcome::Written);
    assert_eq!(publish(2, 1_000, "newer and short").await, Outcome::Written);
    let fence = Keys::new("zk").published(TEXT);
    let ttl: u64 = server.command(&["PTTL", &fence]).await;
    assert!(ttl > 7_000_000, "{ttl}");
    assert_eq!(publish(1, 7_000_000, "older").await, Outcome::Fenced);
}

//! What was told is changed only from what it was, and forgotten in its time.

use std::time::Duration;

use zhongkong_redis::{
    Access, Deployment, Keys, RedisAddress, RedisSettings, RedisStore, Replicas, Swap,
};
use zhongkong_testkit::RedisServer;

const DAY: Duration = Duration::from_hours(24);

fn store(redis: &RedisServer) -> RedisStore {
    let address = RedisAddress::Tcp("127.0.0.1".to_owned(), redis.port());
    let settings =
        RedisSettings { deployment: Deployment::Server(address), access: Access::default() };
    RedisStore::new(&settings, Keys::new("zhongkong"), Replicas::Auto)
}

fn swap(field: &str, was: Option<&str>, becomes: Option<&str>) -> Swap {
    let text = |text: Option<&str>| text.map(ToOwned::to_owned);
    Swap { field: field.to_owned(), was: text(was), becomes: text(becomes) }
}

#[tokio::test]
async fn of_two_changes_from_the_same_state_one_is_made_and_the_other_not_in_part() {
    let redis = RedisServer::start().await;
    let store = store(&redis);
    let first = [swap("a", None, Some("1")), swap("b", None, Some("1"))];
    assert!(store.swap_told("ops", &first, DAY).await.unwrap());
    let second = [swap("c", None, Some("2")), swap("b", None, Some("2"))];
    assert!(!store.swap_told("ops", &second, DAY).await.unwrap());
    let third = [swap("a", Some("1"), None), swap("b", Some("1"), Some("3"))];
    assert!(store.swap_told("ops", &third, DAY).await.unwrap());
    let (told, now_ms) = store.told("ops").await.unwrap();
    assert_eq!(told.into_iter().collect::<Vec<_>>(), [("b".to_owned(), "3".to_owned())]);
    assert!(now_ms > 1_700_000_000_000);
    let ttl: i64 = redis.command(&["PTTL", "zhongkong:notify:ops"]).await;
    assert!((86_000_000..=86_400_000).contains(&ttl), "{ttl}");
    assert!(store.told("other").await.unwrap().0.is_empty());
    store.forget_told("ops", &["b".to_owned()]).await.unwrap();
    assert!(store.told("ops").await.unwrap().0.is_empty());
}

//! What a reading of units says of the key that readers read.

use zhongkong_core::credential::Unit;
use zhongkong_core::ports::Store;
use zhongkong_redis::{
    Access, Deployment, Keys, RedisAddress, RedisSettings, RedisStore, Replicas,
};
use zhongkong_testkit::RedisServer;

#[tokio::test]
async fn a_reading_says_whether_readers_find_just_the_token_of_the_state() {
    let server = RedisServer::start().await;
    let settings = RedisSettings {
        deployment: Deployment::Server(RedisAddress::Tcp("127.0.0.1".to_owned(), server.port())),
        access: Access::default(),
    };
    let store = RedisStore::new(&settings, Keys::new("zhongkong"), Replicas::Auto);
    let unit = Unit::access_token("wx1".parse().unwrap());
    let (key, state) = ("zhongkong:{wx1}:access_token", "zhongkong:{wx1}:access_token:state");
    let () = server.command(&["HSET", state, "v", "1", "token", "T1"]).await;
    let long = "T1".repeat(5_000);
    for (command, expected) in [
        (vec!["SET", key, "T1"], true),
        (vec!["SET", key, "foreign"], false),
        (vec!["SET", key, &long], false),
        (vec!["DEL", key], false),
        (vec!["RPUSH", key, "T1"], false),
    ] {
        let () = server.command(&command).await;
        let reading = store.read(std::slice::from_ref(&unit)).await.unwrap().remove(0).unwrap();
        assert!(reading.state.exists() && reading.state.token.is_none());
        assert_eq!(reading.published, expected, "after {command:?}");
    }
}

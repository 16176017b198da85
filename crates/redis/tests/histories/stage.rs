//! Where histories are played: a private redis-server whose clock is held, two stores in it, and an ear at its channel.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, RedisResult, Value};
use tokio::runtime::Runtime;
use zhongkong_core::ports::Store;
use zhongkong_redis::{
    Access, Deployment, Keys, RedisAddress, RedisSettings, RedisStore, Replicas,
};
use zhongkong_testkit::{RedisClock, RedisServer};

use crate::lines::RECORDER;

/// A user who may do everything but ask what kind of Redis this is.
const BLIND: &str = "blind";
/// What the test itself says on the channel: all that was said before has been heard then.
const MARK: &str = "mark";

thread_local! {
    static STAGE: RefCell<Option<Rc<Stage>>> = const { RefCell::new(None) };
}

/// A redis-server, two stores in it, and an ear at its channel.
pub(crate) struct Stage {
    pub(crate) clock: RedisClock,
    pub(crate) store: RedisStore,
    /// Asked as a user who may not ask what kind of Redis this is.
    pub(crate) blind: RedisStore,
    connection: RefCell<MultiplexedConnection>,
    heard: RefCell<redis::aio::PubSubStream>,
    _server: RedisServer,
    pub(crate) runtime: Runtime,
}

/// Runs `test` with a redis-server of its own.
pub(crate) fn on_a_stage(test: impl FnOnce()) {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            STAGE.take();
        }
    }
    let _end = End;
    STAGE.set(Some(Rc::new(Stage::new())));
    test();
}

impl Stage {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clock = RedisClock::new();
        let environment = clock.environment();
        let environment: Vec<_> =
            environment.iter().map(|(name, path)| (*name, path.as_path())).collect();
        let server = runtime.block_on(RedisServer::start_with(&[], &environment));
        let rights = ["ACL", "SETUSER", BLIND, "on", "nopass", "~*", "&*", "+@all", "-info"];
        let () = runtime.block_on(server.command(&rights));
        let store = |username: Option<&str>| {
            let settings = RedisSettings {
                deployment: Deployment::Server(RedisAddress::Tcp(
                    "127.0.0.1".to_owned(),
                    server.port(),
                )),
                access: Access {
                    username: username.map(str::to_owned),
                    password: username.map(|_| "any".into()),
                    ..Access::default()
                },
            };
            RedisStore::new(&settings, Keys::new("zhongkong"), Replicas::Auto).asked_by(RECORDER)
        };
        let (store, blind) = (store(None), store(Some(BLIND)));
        let client = redis::Client::open(server.url()).unwrap();
        // On a loaded machine an answer may take longer than the half second that is the default.
        let patient = AsyncConnectionConfig::new().set_response_timeout(None);
        let connecting = client.get_multiplexed_async_connection_with_config(&patient);
        let connection = RefCell::new(runtime.block_on(connecting).unwrap());
        let heard = runtime.block_on(async {
            let mut ear = client.get_async_pubsub().await.unwrap();
            ear.subscribe(store.keys().events()).await.unwrap();
            RefCell::new(ear.into_on_message())
        });
        Self { clock, store, blind, connection, heard, _server: server, runtime }
    }

    /// The stage of this thread.
    pub(crate) fn of_this_thread() -> Rc<Self> {
        STAGE.with_borrow(Clone::clone).unwrap()
    }

    /// One command of the test's own.
    pub(crate) fn redis<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let mut connection = self.connection.borrow_mut();
        self.runtime.block_on(command.query_async(&mut *connection)).unwrap()
    }

    /// Several, each with its own result.
    pub(crate) fn ask(&self, pipe: &mut Pipeline) -> Vec<RedisResult<Value>> {
        let mut connection = self.connection.borrow_mut();
        let asked = pipe.ignore_errors().query_async(&mut *connection);
        self.runtime.block_on(asked).unwrap()
    }

    /// The server's epoch as it is now.
    pub(crate) fn epoch(&self) -> String {
        let unit = zhongkong_core::credential::Unit::access_token("any".parse().unwrap());
        let mut readings = self.runtime.block_on(self.store.read(&[unit])).unwrap();
        readings.pop().unwrap().unwrap().epoch.to_string()
    }

    /// What was said on the channel since the last time.
    pub(crate) fn heard(&self) -> Vec<String> {
        let _: u32 = self.redis(&["PUBLISH", &self.store.keys().events(), MARK]);
        let mut heard = self.heard.borrow_mut();
        let mut said = Vec::new();
        self.runtime.block_on(async {
            loop {
                let message = tokio::time::timeout(Duration::from_secs(10), heard.next()).await;
                let text: String = message.unwrap().unwrap().get_payload().unwrap();
                if text == MARK {
                    return said;
                }
                said.push(text);
            }
        })
    }
}

//! What tests share: a whole cluster of real processes, and the means to disturb it.
//!
//! Everything is private to its owner (ports, directories, processes) and ends with it, so that
//! tests run side by side. Only tests and the demo depend on this crate.
//!
//! Modules in reading order:
//!
//! - [`cluster`], [`builder`]: a Redis, a simulated upstream and workers; what they say and hold.
//! - [`timings`]: times short enough to wait for, which do not contradict each other.
//! - [`worker`]: one `zhongkong run`, and what can be done to it.
//! - [`reader`]: a service that reads the key, and counts what it finds.
//! - [`recorder`], [`story`]: all that happens, as a history that can be checked.
//! - [`proxy`], [`namespace`]: ways between the parts that can be cut, held and slowed.
//! - [`sentinel`]: Sentinels, which make another redis-server the primary.
//! - [`server`], [`redis_clock`], [`authority`], [`subscription`]: a redis-server, the time it believes, its certificates,
//!   and what is said on it.
//! - [`redis_cluster`]: several of them that share the keys.
//! - [`http`], [`wait`], [`process`], [`ports`]: the tools below.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken fixture must stop the test at once"
)]

pub mod authority;
pub mod builder;
pub mod cluster;
pub mod http;
pub mod namespace;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod reader;
pub mod recorder;
pub mod redis_clock;
pub mod redis_cluster;
pub mod sentinel;
pub mod server;
pub mod story;
pub mod subscription;
pub mod timings;
pub mod wait;
pub mod worker;

pub use authority::Authority;
pub use builder::ClusterBuilder;
pub use cluster::{APP_ID, Cluster, SECRET, Ways};
pub use namespace::Namespace;
pub use proxy::{Proxy, Way};
pub use reader::{BadRead, Counts, Finding, Reader};
pub use recorder::Recorder;
pub use redis_clock::RedisClock;
pub use redis_cluster::RedisCluster;
pub use sentinel::Sentinels;
pub use server::RedisServer;
pub use subscription::Subscription;
pub use timings::Timings;
pub use wait::{PATIENCE, wait_until};
pub use worker::Worker;

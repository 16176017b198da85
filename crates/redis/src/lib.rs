//! The store: a unit's state in Redis, one Lua script per atomic operation.
//!
//! # Layout, in reading order
//! - `keys`: every key name, and back from a key to its unit.
//! - `scripts`: the Lua sources; each applies one transition of the core crate atomically.
//! - `reply`: what scripts and events say, in the core's types.
//! - `settings`, `tls`, `place`: where Redis is, how to log in, how it is encrypted, and where a connection leads.
//! - `sentinel`: which server is the primary, where Sentinels name it.
//! - `link`: one connection, which is replaced when it breaks and never repairs itself behind a command's back.
//! - `refusal`: what it means that Redis refuses, and what to do.
//! - `episode`: what is said when it begins and when it ends.
//! - `believed`: whether what a connection tells of the epoch can be believed.
//! - `lanes`: connections for claims, each used by one at a time.
//! - `node`: one primary's connections.
//! - `slots`, `redirect`, `cluster`: a Redis Cluster: who has which slot, and what a server says that lacks it.
//! - `nodes`: all primaries, and which of them has a key.
//! - `store`: the port that the core crate asks for.
//! - `reading`: many states read together.
//! - `publishing`: the keys that SDKs read.
//! - `presence`: workers that live, primaries with their epochs, and replicas.
//! - `inbox`: the stream in which readers leave reports.
//! - `notify`: what was told to receivers of notifications.
//! - `listen`: events and key tracking on a connection of their own.
//! - `history`: what the scripts keep of what happened, for people.
//! - `facts`: what kind of Redis this is, for people.
//! - `hindrance`: what keeps it from taking writes.
//! - `fuzzing`, with the feature of that name: for the fuzzer.

mod believed;
mod cluster;
mod episode;
mod facts;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod hindrance;
mod history;
mod inbox;
mod keys;
mod lanes;
mod link;
mod listen;
mod node;
mod nodes;
mod notify;
mod place;
mod presence;
mod publishing;
mod reading;
mod redirect;
mod refusal;
mod reply;
mod scripts;
mod sentinel;
mod settings;
mod slots;
mod store;
mod tls;

pub use facts::{ClusterFacts, Facts, SdkKeys, ShardFacts};
pub use hindrance::Hindrance;
pub use history::{BadEntryId, EntryId, HISTORY_MAX, History, HistoryEntry, HistoryPage};
pub use keys::Keys;
pub use notify::Swap;
pub use sentinel::{SentinelFacts, Watched};
pub use settings::{Access, Deployment, RedisAddress, RedisSettings, SentinelSettings};
pub use store::{RedisStore, Replicas};
pub use tls::{Tls, UselessFile};

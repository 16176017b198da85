//! What tests share: a private redis-server, worker processes, a reader.
//!
//! Only tests and the demo depend on this crate.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a broken fixture must stop the test at once")]

pub mod server;

pub use server::RedisServer;

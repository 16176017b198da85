//! A client beside a real redis-server, in one binary because that links once.

#![expect(clippy::unwrap_used, reason = "a broken fixture must stop the test at once")]

mod follow;
mod lost;
mod report;
mod rights;
mod scene;
mod secrecy;
mod tls;

//! Fetches over real sockets, against a server that does as it is told.
#![expect(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

#[cfg(feature = "failpoints")]
mod failpoints;
mod fetch;
mod server;
mod setup;
mod way;

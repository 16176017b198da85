//! What happened to units, and whether it was allowed to: the checker of histories.
//!
//! A history merges what the upstream did (the truth), what readers found and what the cluster said,
//! on one clock. It is plain data: whole-process tests record one, and so does the simulation.
//! This crate knows nothing else of the product: a checker that shares the rules' code shares their bugs.
//!
//! Modules in reading order:
//!
//! - [`record`]: one thing that happened.
//! - [`told`]: what the cluster says in one of its events.
//! - [`history`]: all of them, in their order, and their story for people.
//! - [`limits`]: what is allowed, and when a violation is excused.
//! - [`violation`]: what was not allowed.
//! - [`mod@check`]: from the first two to the last.

pub mod check;
pub mod history;
pub mod limits;
pub mod record;
pub mod told;
pub mod violation;

mod standing;
mod tokens;

pub use check::check;
pub use history::History;
pub use limits::{Limits, Window};
pub use record::{ClusterEvent, Found, Life, Processed, Read, Record, UpstreamEvent, What};
pub use told::Told;
pub use violation::{Kind, Violation};

//! Whole processes under faults, each run judged by the checker of histories and not by what its author thought of.
//!
//! - `scene`: a cluster that is recorded, and how its history is judged.
//! - `points`: a worker is killed or paused at every point of a refresh.
//! - `ways`: what is sent between workers, Redis and upstream is cut, held, lost or slow.
//! - `namespaces`: the same with dropped packets, where the kernel sends again.
//! - `persistence`: Redis is killed, and comes back with or without its last writes.
//! - `failover`: a replica takes over, and an old primary serves on.
//! - `sentinel`: Sentinels make a replica the primary, and workers and readers follow.
//! - `clocks`: Redis' clock is moved in the middle of a refresh.
//! - `rolling`: old and new workers side by side.
//! - `storm`: faults drawn by chance, one after the other.
//! - `fenced`: the checker is checked.

mod clocks;
mod failover;
mod fenced;
mod namespaces;
mod persistence;
mod points;
mod rolling;
pub(crate) mod scene;
mod sentinel;
mod storm;
mod ways;

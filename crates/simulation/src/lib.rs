//! Hours of a cluster's life in moments, from a seed.
//!
//! The coordinators and keepers are the product's, on tokio's paused time; Redis is in memory and applies core's own
//! transitions; the upstream goes by the simulator's rules. Network, clocks and faults are drawn from the seed: the same
//! seed gives the same run, byte for byte. What happened is judged by `zhongkong-history`.
//!
//! # Layout, in reading order
//! - `dice`, `time`: chance from a seed; virtual time, clocks that drift, and one that is stepped.
//! - `cast`: two accounts, one of each nature, and the times that all go by.
//! - `memory`, `inbox`, `line`: Redis in memory, its stream of reports, and a worker's line to it.
//! - `weather`, `way`: how messages fare; a worker's way to an upstream.
//! - `gate`, `machine`: a machine that is paused, and a worker that is killed, anywhere or at a point of a refresh.
//! - `world`: what all of these share, and the journal.
//! - `fault`, `plan`: what may go wrong, and what does in this run.
//! - `stage`, `hand`: workers that run and are started again; the hand that does the faults.
//! - `run`, `verdict`, `record`: one run from its seed to its verdict.

mod cast;
mod dice;
mod fault;
mod gate;
mod hand;
mod inbox;
mod line;
mod machine;
mod memory;
mod plan;
mod record;
mod run;
mod stage;
mod time;
mod verdict;
mod way;
mod weather;
mod world;

pub use plan::Temper;
pub use run::{Protocol, RunError, simulate};
pub use verdict::Verdict;

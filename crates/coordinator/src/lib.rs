//! The loops: keepers for all units, and what they learn from each other.
//!
//! One loop owns every keeper; what takes time runs as a task and comes back as a message, so nothing here needs a lock.
//! Ten thousand idle units cost one timer each, and neither a task nor a command to the store.
//!
//! # Layout, in reading order
//! - [`settings`]: credentials and limits, as the binary hands them over.
//! - `engine`: the loop: hear, decide, do.
//! - `epochs`: the epochs of the store's primaries, as a worker hears of them.
//! - `units`: the table of keepers and their timers.
//! - `refresh`: one refresh, from the claim to its recorded outcome.
//! - `publish`: one token, published at the keys of every SDK that its credential names.
//! - `tickets`: what is got with an access token, and so waits for it.
//! - `pacer`: turns for what must not happen all at once.
//! - [`handle`]: what the binary asks of a running coordinator.
//! - `telemetry`: log lines and metrics of refreshes.

mod engine;
mod epochs;
pub mod failpoints;
pub mod handle;
mod pacer;
mod publish;
mod refresh;
pub mod settings;
mod telemetry;
mod tickets;
mod units;

pub use engine::Coordinator;
pub use handle::{
    Ailing, CommandError, Handle, Health, PAUSED_FOR, RefreshAnswer, Selection, UnitEvent, UnitView,
};
pub use settings::{CoordinatorSettings, CredentialSettings, TicketSettings};

//! The upstream's rules in a process of their own, with faults on demand.
//!
//! A real HTTP server that behaves as WeChat's token endpoints do, and that keeps the truth: which
//! token was issued to whom, when it died and why, and how many calls were under way at once.
//! Whole-cluster tests compare what the product believes with this journal.
//!
//! Modules in reading order:
//!
//! - [`settings`]: what an upstream is started with.
//! - [`clock`]: the one clock, which tests can move forward.
//! - [`book`], [`pool`], [`quota`], [`risk`]: the rules of tokens, limits and confirmations, each
//!   pure over `now`.
//! - [`message`]: the exact wording of errors.
//! - [`account`], [`rules`]: one call judged against an account.
//! - [`platform`]: the rules alone, for a simulation with a network and a time of its own.
//! - [`faults`], [`orders`]: what is to go wrong, for whom and how often; and where calls are held.
//! - [`record`], [`journal`]: the truth.
//! - [`state`]: what all calls share, under one lock.
//! - [`handle`]: everything a test can ask or order, in the process or through [`control`].
//! - [`call`], [`connection`], [`server`]: the life of a call over HTTP.
//! - [`simulator`]: starting and stopping it all.
//! - [`mod@health`]: whether one answers.

mod account;
mod book;
mod call;
mod clock;
mod connection;
mod control;
mod faults;
mod handle;
mod health;
mod journal;
mod message;
mod orders;
mod platform;
mod pool;
mod quota;
mod record;
mod risk;
mod rules;
mod server;
mod settings;
mod simulator;
mod state;

pub use account::{AccountChange, UnknownAccount};
pub use book::{Death, Pool, Token};
pub use faults::{Fault, FaultKind, HeldCall, Hold, Point, Scope};
pub use handle::Handle;
pub use health::health;
pub use platform::{Answer, Fetch, Platform};
pub use record::{CallRecord, Ending, JournalView, Outcome, Summary};
pub use rules::Endpoint;
pub use settings::{Account, Condition, ContentType, Settings, WhitelistMessage};
pub use simulator::Simulator;

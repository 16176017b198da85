//! For Rust readers: a local copy of the token, kept current.
//!
#![doc = include_str!("../README.md")]
//!
//! # Layout, in reading order
//! 1. `reader`, `token`: the handle of a unit, and a token in a reader's hands.
//! 2. `copy`: what was read last, and whether it may still be handed out.
//! 3. `client`, `settings`, `error`: what is kept, and how it is told where Redis is.
//! 4. `follow`: the task that keeps copies current, on one connection after another.
//! 5. `link`, `news`, `clock`: a connection, what Redis says on it unasked, and the boot clock.

mod client;
mod clock;
mod copy;
mod error;
mod follow;
mod link;
mod news;
mod reader;
mod settings;
mod token;

pub use client::{Client, Mode};
pub use copy::Current;
pub use error::{NoToken, ReportError, SettingsError, Why};
pub use reader::{Reader, WAIT_MAX};
pub use settings::Builder;
pub use token::Token;
pub use zhongkong_core::credential::{CredentialId, Kind, NameError, Unit};
pub use zhongkong_core::token::Fingerprint;

//! Notifications: which state of a unit a person must hear of, when, in which words, and the ways to them.
//!
//! Whether, when and what is told are functions of states, of what was told before, and of time; what was told is kept by
//! the caller, in a place that the whole cluster shares. Here is no store and no runtime; the senders alone do IO.
//!
//! # Words
//! - *problem*: what a person has to lift, such as an address that is not on the IP list;
//!   *trouble*: one problem of one unit, now;
//!   *receiver*: a webhook or a chat's robot; *record*: what was told to one receiver of one trouble.
//!
//! # Layout, in reading order
//! 1. [`problem`], [`trouble`]: what there is to tell, and what a state shows of it.
//! 2. [`record`]: what was told, and the claim of whoever is about to tell.
//! 3. [`plan`]: what is to be told next, and when; [`batch`]: troubles that are told together; [`rate`]: not too often.
//! 4. [`language`], [`words`], [`message`]: how it is said.
//! 5. [`receiver`], [`webhook`], [`wecom`], [`feishu`], [`dingtalk`]: the request of each kind of receiver, and its answer.
//! 6. [`client`]: sends it.

pub mod batch;
pub mod client;
pub mod dingtalk;
pub mod feishu;
pub mod language;
pub mod message;
pub mod plan;
pub mod problem;
pub mod rate;
pub mod receiver;
pub mod record;
#[cfg(test)]
mod testing;
pub mod trouble;
pub mod webhook;
pub mod wecom;
pub mod words;

pub use batch::{Batch, Change, What};
pub use client::Client;
pub use language::Language;
pub use message::Message;
pub use plan::{Look, Memory, Rules};
pub use problem::Problem;
pub use receiver::{Again, Receiver, Refused, Type};
pub use trouble::{Key, Trouble, troubles};

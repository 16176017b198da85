//! One token refresher for a whole cluster: the binary.
//!
//! # Layout, in reading order
//! - `cli`: the command line; `terminal`: what a command says, and what each ending means to the shell.
//! - [`config`]: the configuration, read whole before anything else happens.
//! - `run`: a worker, from its start to its orderly end; `wiring` builds its parts, `logging`, `descriptions` (of
//!   metrics) and `clock` serve it.
//! - `api`: the worker's HTTP face.
//! - `commands`: what is asked of Redis from the command line.
//! - `report`, `event`, `history`, `hindrance`, `certificate`: a unit's status, what happens and what happened to it,
//!   what ails Redis, and until when the certificate holds, in words, for both; `schemas`: the core's words in them, for the
//!   API's description.
//! - `notify`: who is told when a person is needed.
//! - `failpoint` and `fuzzing`, with the features of those names: for tests and for the fuzzer.

mod api;
mod certificate;
mod cli;
mod clock;
mod commands;
pub mod config;
mod descriptions;
mod event;
#[cfg(feature = "failpoints")]
mod failpoint;
#[cfg(feature = "failpoints")]
mod fenced;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod hindrance;
mod history;
mod language;
mod logging;
mod notify;
mod open_files;
mod report;
mod run;
mod schemas;
mod signature;
mod supervisor;
mod terminal;
mod wiring;

pub use cli::main;

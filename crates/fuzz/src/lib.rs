//! What the fuzzer calls, and what must hold whatever it comes up with.
//!
//! Each target takes bytes and fails by a panic. The programs for `cargo fuzz` are in `fuzz/` at the root of the
//! repository; the tests of this crate play the inputs that are kept there, and need no fuzzer.
//!
//! # Layout, in reading order
//! - [`upstream_answer`]: what the upstream answers.
//! - [`report_entry`], [`event`]: what others write into Redis, and say on the channel of events.
//! - [`state_fields`]: what anybody may write into the state hash, and every transition from there; `transition`: one.
//! - [`configuration`]: files and the environment.
//! - [`http_body`]: what callers of the API send.

pub mod configuration;
pub mod event;
pub mod http_body;
pub mod report_entry;
pub mod state_fields;
mod transition;
pub mod upstream_answer;

/// What a target does with one input.
pub type Target = fn(&[u8]);

/// Every target, by the name of its program and of its inputs.
pub const TARGETS: [(&str, Target); 6] = [
    ("configuration", configuration::run),
    ("events", event::run),
    ("http_body", http_body::run),
    ("report_entry", report_entry::run),
    ("state_fields", state_fields::run),
    ("upstream_answer", upstream_answer::run),
];

/// Stands for a token in inputs: whatever is shown must not have it.
const TOKEN: &str = "TOKEN-";
/// Stands for a secret.
const SECRET: &str = "s3cret-of-the-account";

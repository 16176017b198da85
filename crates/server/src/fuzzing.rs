//! What the fuzzer may call (feature `fuzzing`).

pub use crate::api::fuzzing::{Call, read};

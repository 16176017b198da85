//! One token refresher for a whole cluster: the binary.

pub mod config;

//! What is asked of Redis from the command line. Nothing here fetches a token.

pub(crate) mod check;
pub(crate) mod clear_quota;
pub(crate) mod forget;
pub(crate) mod get;
pub(crate) mod pause;
pub(crate) mod refresh;
pub(crate) mod status;
mod target;
pub(crate) mod watch;

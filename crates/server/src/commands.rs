//! What is asked from the command line: of Redis, or of nobody. Nothing here fetches a token.

pub(crate) mod check;
pub(crate) mod clear_quota;
pub(crate) mod explain;
pub(crate) mod forget;
pub(crate) mod get;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod keys;
pub(crate) mod manual;
pub(crate) mod notify;
pub(crate) mod pause;
pub(crate) mod refresh;
pub(crate) mod status;
mod target;
pub(crate) mod watch;

//! What is asked from the command line: of Redis, or of nobody. Nothing here fetches a token.

pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod keys;
pub(crate) mod manual;
pub(crate) mod status;

//! What is asked of Redis from the command line. Nothing here fetches a token.

pub(crate) mod check;
pub(crate) mod get;
pub(crate) mod status;

//! What a command says to the person who typed it, and to the shell.

use std::io::{self, Write};
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// There is no valid token, or Redis is unreachable (`EX_UNAVAILABLE`).
    Unavailable,
    /// The configuration is wrong (`EX_CONFIG`).
    Configuration,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Unavailable => 69,
            Exit::Configuration => 78,
        })
    }
}

/// A line on standard error, for the person who typed the command.
pub(crate) fn complain(text: &str) {
    writeln!(io::stderr(), "{text}").ok();
}

/// A line on standard output: the answer. Nobody is left to tell if that is closed, as by `head`.
pub(crate) fn answer(text: &str) {
    writeln!(io::stdout(), "{text}").ok();
}

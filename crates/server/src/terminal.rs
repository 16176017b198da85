//! What a command says to the person who typed it, and to the shell.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::language::Language;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// There is no valid token, or Redis is unreachable (`EX_UNAVAILABLE`).
    Unavailable,
    /// The command was given wrongly.
    Usage,
    /// The configuration is wrong (`EX_CONFIG`).
    Configuration,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unavailable => 69,
            Exit::Configuration => 78,
        })
    }
}

/// Asks before something that cannot be undone, unless `yes` was said already. Returns how to end if the answer is no.
pub(crate) fn consent(question: &str, yes: bool, language: Language) -> Option<Exit> {
    if yes {
        return None;
    }
    if !io::stdin().is_terminal() {
        complain(question);
        complain(language.say(
            "nobody is there to be asked: say --yes to do it all the same",
            "没有可供确认的终端：如确认执行，请加 --yes",
        ));
        return Some(Exit::Usage);
    }
    write!(io::stderr(), "{question} [y/N] ").ok();
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    let agreed = read.is_ok() && ["y", "yes"].contains(&line.trim().to_lowercase().as_str());
    if agreed {
        return None;
    }
    complain(language.say("nothing was done", "未执行任何操作"));
    Some(Exit::Failed)
}

/// A line on standard error, for the person who typed the command.
pub(crate) fn complain(text: &str) {
    writeln!(io::stderr(), "{text}").ok();
}

/// A line on standard output: the answer. Nobody is left to tell if that is closed, as by `head`.
pub(crate) fn answer(text: &str) {
    writeln!(io::stdout(), "{text}").ok();
}

/// A line on standard output, of many that come; false if nobody listens any more.
pub(crate) fn answer_while_somebody_listens(text: &str) -> bool {
    let mut output = io::stdout().lock();
    writeln!(output, "{text}").and_then(|()| output.flush()).is_ok()
}

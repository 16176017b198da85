//! What a command says to the person who typed it, and to the shell.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use comfy_table::{ContentArrangement, Table, presets};
use zhongkong_core::ports::StoreError;

use crate::config::Environment;
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

/// Whether answers have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(bool);

/// A colour, by its number among the terminal's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
}

impl Paint {
    /// On a terminal, unless `NO_COLOR` is set.
    pub(crate) fn of(environment: &Environment) -> Self {
        let plain =
            environment.get("NO_COLOR").is_some() || environment.get("TERM") == Some("dumb");
        Self(io::stdout().is_terminal() && !plain)
    }

    /// `text` in `colour`.
    pub(crate) fn paint(self, text: &str, colour: Colour) -> String {
        if self.0 { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
    }
}

/// A line on standard error, for the person who typed the command.
pub(crate) fn complain(text: &str) {
    writeln!(io::stderr(), "{text}").ok();
}

/// Says that Redis did not give what was asked for, and who knows more.
pub(crate) fn complain_of_redis(error: &StoreError, language: Language) -> Exit {
    let more = language.say("`zhongkong check` says what to do", "处理办法见 `zhongkong check`");
    complain(&format!("{error}{}{more}", language.semicolon()));
    Exit::Unavailable
}

/// Whether an answer could not be written although somebody wants it: the disk is full, say.
static LOST: AtomicBool = AtomicBool::new(false);

/// A line on standard output: the answer. Nobody is left to tell if that is closed, as by `head`.
pub(crate) fn answer(text: &str) {
    let mut output = io::stdout();
    let written = writeln!(output, "{text}").and_then(|()| output.flush());
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
        && !LOST.swap(true, Ordering::Relaxed)
    {
        complain(&format!("the answer cannot be written: {error}"));
    }
}

/// A table to be answered with: no lines, and as wide as its contents, so that other programs can cut it up, too.
pub(crate) fn table<const COLUMNS: usize>(headings: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings);
    table
}

/// Whether an answer was lost, so that the command failed whatever it did.
pub(crate) fn answer_is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// A line on standard output, of many that come; false if nobody listens any more.
pub(crate) fn answer_while_somebody_listens(text: &str) -> bool {
    let mut output = io::stdout().lock();
    writeln!(output, "{text}").and_then(|()| output.flush()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_surrounds_a_text_or_leaves_it_as_it_is() {
        assert_eq!(Paint(true).paint("ok", Colour::Green), "\x1b[32mok\x1b[0m");
        assert_eq!(Paint(false).paint("ok", Colour::Green), "ok");
    }
}

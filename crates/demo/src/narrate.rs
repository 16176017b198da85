//! Words on a terminal, or in a pipe: wrapped, and coloured only where colours are wanted.

use std::io::{IsTerminal, Write};

use tokio::time::Instant;

const WIDTH: usize = 84;

/// Tells the story. Copies share its clock.
#[derive(Clone, Debug)]
pub(crate) struct Narrator {
    began: Instant,
    colours: bool,
}

/// Codes of a terminal (SGR).
#[derive(Clone, Copy)]
enum Style {
    Plain,
    Bold,
    Dim,
    Green,
    Red,
}

impl Narrator {
    pub(crate) fn new() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "NO_COLOR is a convention about the environment, not a setting of ours"
        )]
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colours = std::io::stdout().is_terminal() && !unwanted;
        Self { began: Instant::now(), colours }
    }

    /// The heading of a scene.
    pub(crate) fn heading(&self, text: &str) {
        self.line("", Style::Plain);
        self.line(text, Style::Bold);
    }

    /// What is going on, in whole sentences.
    pub(crate) fn say(&self, text: &str) {
        for line in wrapped(text, WIDTH - 2) {
            self.line(&format!("  {line}"), Style::Plain);
        }
    }

    /// Something that happened, with its time.
    pub(crate) fn event(&self, text: &str) {
        self.timed(text, Style::Dim);
    }

    /// Something that must not happen, with its time.
    pub(crate) fn alarm(&self, text: &str) {
        self.timed(text, Style::Red);
    }

    /// A line that sums up, or text that is already laid out.
    pub(crate) fn result(&self, text: &str) {
        self.line(text, Style::Bold);
    }

    /// A good ending.
    pub(crate) fn good(&self, text: &str) {
        self.paragraph(text, Style::Green);
    }

    /// A bad ending.
    pub(crate) fn bad(&self, text: &str) {
        self.paragraph(text, Style::Red);
    }

    /// Text as it stands: commands to copy.
    pub(crate) fn verbatim(&self, text: &str) {
        self.line(text, Style::Plain);
    }

    /// What a program of ours printed, word by word.
    pub(crate) fn quote(&self, text: &str) {
        for line in text.lines().flat_map(|line| wrapped(line, WIDTH - 6)) {
            self.line(&format!("    | {line}"), Style::Dim);
        }
    }

    fn paragraph(&self, text: &str, style: Style) {
        for line in wrapped(text, WIDTH) {
            self.line(&line, style);
        }
    }

    fn timed(&self, text: &str, style: Style) {
        let seconds = self.began.elapsed().as_secs_f64();
        for (index, line) in wrapped(text, WIDTH - 11).into_iter().enumerate() {
            let begin = if index == 0 { format!("{seconds:7.1} s") } else { " ".repeat(9) };
            self.line(&format!("{begin}  {line}"), style);
        }
    }

    fn line(&self, text: &str, style: Style) {
        let code = match style {
            Style::Plain => "0",
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Green => "1;32",
            Style::Red => "1;31",
        };
        let mut out = std::io::stdout().lock();
        // Nobody may be listening any more (`| head`); the show ends in order all the same.
        drop(if self.colours && !matches!(style, Style::Plain) {
            writeln!(out, "\x1b[{code}m{text}\x1b[0m")
        } else {
            writeln!(out, "{text}")
        });
    }
}

/// `text` in lines of at most `width` characters, broken at spaces.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable word", 4), ["unbreakable", "word"]);
        assert_eq!(wrapped("", 4), [""]);
    }
}

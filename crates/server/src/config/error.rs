//! What is wrong with a configuration, where it stands, and what would be right.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// So many problems or warnings are shown; the rest is counted.
const SHOWN_MAX: usize = 50;
/// So many characters of an unknown name are compared with the known ones.
const NAME_MAX: usize = 100;

/// Every problem found in a configuration, one a line: `zhongkong.toml:14: refresh.lease: …`.
#[derive(Debug, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub struct ConfigError {
    problems: Vec<String>,
}

impl ConfigError {
    /// Each problem, with its place.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nobody gave it: the default holds.
    Default,
    /// A file, and what is known of the position in it, counted from 1.
    File { path: Arc<Path>, line: Option<usize>, column: Option<usize> },
    /// An environment variable.
    Variable(String),
}

/// What is found on the way: all problems of a configuration are shown at once.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: RefCell<Vec<String>>,
    warnings: RefCell<Vec<String>>,
}

impl Findings {
    pub(super) fn problem(&self, place: &Place, key: &str, what: &str) {
        self.problems.borrow_mut().push(sentence(place, key, what));
    }

    pub(super) fn warn(&self, place: &Place, key: &str, what: &str) {
        self.warnings.borrow_mut().push(sentence(place, key, what));
    }

    /// Whether there is no problem yet: what combines several values is judged only then,
    /// since a value that could not be read was replaced by its default.
    pub(super) fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// `outcome` with the warnings, unless there are problems.
    pub(super) fn finish<T>(self, outcome: Option<T>) -> Result<(T, Vec<String>), ConfigError> {
        let problems = shortened(self.problems.into_inner());
        match outcome {
            Some(outcome) if problems.is_empty() => {
                Ok((outcome, shortened(self.warnings.into_inner())))
            }
            _ => Err(ConfigError { problems }),
        }
    }
}

fn sentence(place: &Place, key: &str, what: &str) -> String {
    let parts = [place.to_string(), key.to_owned(), what.to_owned()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        lines.truncate(SHOWN_MAX);
        lines.push(format!("and {more} more"));
    }
    lines
}

impl Place {
    /// The file as a whole.
    pub(super) fn file(path: &Path) -> Self {
        Self::File { path: path.into(), line: None, column: None }
    }

    /// How a message about something at `self` refers to `other`.
    pub(super) fn refer_to(&self, other: &Self) -> String {
        match (self, other) {
            (_, Self::Default) => "by default".to_owned(),
            (_, Self::Variable(name)) => format!("set by {name}"),
            (
                Self::File { path: own, .. },
                Self::File { path: theirs, line: Some(line), column: _ },
            ) if own == theirs => format!("at line {line}"),
            (_, Self::File { .. }) => format!("at {other}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => Ok(()),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, line, column } => {
                write!(f, "{}", path.display())?;
                for position in [line, column].into_iter().flatten() {
                    write!(f, ":{position}")?;
                }
                Ok(())
            }
        }
    }
}

/// The part of a message about the unknown `name` that says what was meant.
pub(super) fn suggest<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    // The comparison takes time and memory by the product of both lengths.
    let start: String = name.chars().take(NAME_MAX).collect();
    let distance = |known: &str| strsim::damerau_levenshtein(&start, known);
    match known.clone().min_by_key(|known| distance(known)) {
        Some(nearest) if distance(nearest) <= 2.max(nearest.len() / 3) => {
            format!("; did you mean `{nearest}`?")
        }
        _ => format!(" (known: {})", known.collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_all_of_them_where_none_is_near() {
        let known = || ["lease", "drain", "request_timeout"].into_iter();
        assert_eq!(suggest("leese", known()), "; did you mean `lease`?");
        assert_eq!(suggest("request-time-out", known()), "; did you mean `request_timeout`?");
        assert_eq!(suggest("colour", known()), " (known: lease, drain, request_timeout)");
    }

    #[test]
    fn a_flood_of_problems_is_cut_short() {
        let findings = Findings::default();
        for _ in 0..SHOWN_MAX + 7 {
            findings.problem(&Place::Variable("X".to_owned()), "a.b", "is wrong");
        }
        let shown = findings.finish(Some(())).unwrap_err().to_string();
        assert!(shown.starts_with("X: a.b: is wrong\n") && shown.ends_with("\nand 7 more"));
    }
}

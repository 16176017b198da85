//! A value as it was written, and what can be read from it.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml_edit::Item;

use super::error::suggest;

/// The longest of all durations, so that sums of them stay far from any limit.
const DURATION_MAX: Duration = Duration::from_hours(24 * 366);

/// A value as it was written.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    Item(&'a Item),
    /// The text of a variable, or of a default.
    Variable(&'a str),
}

impl<'a> Raw<'a> {
    /// A string.
    pub(super) fn text(self) -> Result<&'a str, String> {
        match self {
            Self::Variable(text) => Ok(text),
            Self::Item(item) => {
                item.as_str().ok_or_else(|| format!("must be a string, found {}", item.type_name()))
            }
        }
    }

    /// Yes or no.
    pub(super) fn flag(self) -> Result<bool, String> {
        let flag = match self {
            Self::Variable(text) => text.parse().ok(),
            Self::Item(item) => item.as_bool(),
        };
        flag.ok_or_else(|| "must be true or false".to_owned())
    }

    /// A whole number within `range`.
    pub(super) fn number(self, range: RangeInclusive<u32>) -> Result<u32, String> {
        let number = match self {
            Self::Variable(text) => text.parse().ok(),
            Self::Item(item) => item.as_integer().and_then(|number| number.try_into().ok()),
        };
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("must be a whole number, {} to {}", range.start(), range.end()))
    }

    /// A duration of whole milliseconds, zero included.
    pub(super) fn duration(self) -> Result<Duration, String> {
        let text = self.text().map_err(|what| format!("{what}; write \"8s\" or \"10m\""))?;
        let duration = humantime::parse_duration(text).map_err(|error| {
            format!("{text:?} is no duration such as \"8s\" or \"10m\": {error}")
        })?;
        if !duration.subsec_nanos().is_multiple_of(1_000_000) {
            return Err(format!("{text:?} is not in whole milliseconds"));
        }
        if duration > DURATION_MAX {
            return Err(format!("{text:?} is more than a year"));
        }
        Ok(duration)
    }

    /// Some of the named `choices`, each once, in the order of the choices.
    pub(super) fn choices<T: Copy>(self, choices: &[(&'static str, T)]) -> Result<Vec<T>, String> {
        let array = match self {
            Self::Item(item) => item.as_array(),
            Self::Variable(_) => None,
        };
        let names = array.and_then(|array| array.iter().map(|name| name.as_str()).collect());
        let names: Vec<&str> = names.ok_or_else(|| {
            let known: Vec<String> =
                choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            format!("must be a list of text, such as [{}]", known.join(", "))
        })?;
        for (at, name) in names.iter().enumerate() {
            Raw::Variable(name).choice(choices)?;
            if names[..at].contains(name) {
                return Err(format!("{name:?} is repeated"));
            }
        }
        let chosen = choices.iter().filter(|(name, _)| names.contains(name));
        Ok(chosen.map(|(_, value)| *value).collect())
    }

    /// One of the named `choices`.
    pub(super) fn choice<T: Copy>(self, choices: &[(&'static str, T)]) -> Result<T, String> {
        let text = self.text()?;
        let chosen = choices.iter().find(|(name, _)| *name == text);
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            format!(
                "unknown value {text:?}{}",
                suggest(text, choices.iter().map(|(name, _)| *name))
            )
        })
    }
}

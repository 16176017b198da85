//! Typed access to the tables of a file, each value with its key and place.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use toml_edit::{Document as Toml, Item, TableLike};

use super::environment::Environment;
use super::error::{Findings, Place, suggest};

/// The longest of all durations, so that sums of them stay far from any limit.
const DURATION_MAX: Duration = Duration::from_hours(24 * 366);

/// The keys of a table.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) name: &'static str,
    /// Scalars, which the environment may override.
    pub(super) scalars: &'static [&'static str],
    /// Secrets, which it may override, too: the secret itself, its file or its variable.
    pub(super) secrets: &'static [&'static str],
    /// Lists and tables.
    pub(super) others: &'static [&'static str],
    /// What is described but not built yet.
    pub(super) later: &'static [&'static str],
}

/// The tables of which there is one each.
pub(super) const SECTIONS: [&Keys; 6] = [&REDIS, &WORKER, &LOG, &HTTP, &UPSTREAM, &REFRESH];

const NONE: Keys = Keys { name: "", scalars: &[], secrets: &[], others: &[], later: &[] };
pub(super) const ROOT: Keys = Keys {
    name: "the file",
    others: &[
        "include",
        "redis",
        "worker",
        "log",
        "http",
        "upstream",
        "refresh",
        "credentials",
    ],
    ..NONE
};
pub(super) const INCLUDED: Keys =
    Keys { name: "an included file", others: &["credentials"], ..NONE };
pub(super) const REDIS: Keys = Keys {
    name: "redis",
    scalars: &["url", "prefix", "username", "replicas"],
    secrets: &["password"],
    later: &["ca", "client_cert", "client_key"],
    ..NONE
};
pub(super) const WORKER: Keys = Keys { name: "worker", scalars: &["name"], ..NONE };
pub(super) const LOG: Keys = Keys { name: "log", scalars: &["level", "format"], ..NONE };
pub(super) const HTTP: Keys =
    Keys { name: "http", scalars: &["listen"], others: &["tokens"], ..NONE };
pub(super) const HTTP_TOKEN: Keys =
    Keys { name: "tokens", scalars: &["name", "scope"], secrets: &["secret"], ..NONE };
pub(super) const UPSTREAM: Keys =
    Keys { name: "upstream", scalars: &["proxy", "max_concurrent"], ..NONE };
pub(super) const REFRESH: Keys = Keys {
    name: "refresh",
    scalars: &[
        "ahead",
        "request_timeout",
        "lease",
        "drain",
        "spacing",
        "report_budget",
        "probe_interval",
        "reconcile_rate",
        "human_poll",
    ],
    ..NONE
};
pub(super) const CREDENTIAL: Keys = Keys {
    name: "credentials",
    scalars: &["id", "provider", "app_id", "base_url", "overlap", "hold"],
    secrets: &["secret"],
    later: &["tickets", "publish"],
    ..NONE
};
pub(super) const SECRET: Keys = Keys { scalars: &["file", "env"], ..NONE };

impl Keys {
    /// Every key that the environment may override, as `section.key`.
    pub(super) fn overridable(&self) -> impl Iterator<Item = String> {
        let sources = self.secrets.iter().flat_map(|secret| {
            ["", ".file", ".env"].map(|source| format!("{}.{secret}{source}", self.name))
        });
        self.scalars.iter().map(|key| format!("{}.{key}", self.name)).chain(sources)
    }

    fn known(&self) -> impl Iterator<Item = &'static str> + Clone {
        [self.scalars, self.secrets, self.others].into_iter().flatten().copied()
    }
}

/// A parsed file.
#[derive(Debug)]
pub(super) struct Document {
    path: Arc<Path>,
    toml: Toml<String>,
    newlines: Vec<usize>,
}

impl Document {
    /// Parses `text`; a syntax error is told without the line itself, which may hold a secret.
    pub(super) fn parse(path: &Path, text: String) -> Result<Self, (Place, String)> {
        let path: Arc<Path> = path.into();
        let newlines: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
        let start = |line: usize| if line == 0 { 0 } else { newlines[line - 1] + 1 };
        match Toml::parse(text.clone()) {
            Ok(toml) => Ok(Self { path, toml, newlines }),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let line = newlines.partition_point(|newline| *newline < at);
                let column = text.get(start(line)..at).map_or(0, |before| before.chars().count());
                let place =
                    Place::File { path, line: Some(line + 1), column: Some(column + 1) };
                Err((place, format!("not TOML: {}", error.message())))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn place(&self, span: Option<Range<usize>>) -> Place {
        let line = span.map(|span| self.newlines.partition_point(|at| *at < span.start) + 1);
        Place::File { path: Arc::clone(&self.path), line, column: None }
    }
}

/// One table, under what the environment overrides of it.
#[derive(Clone)]
pub(super) struct Section<'a> {
    pub(super) findings: &'a Findings,
    pub(super) environment: &'a Environment,
    document: Option<&'a Document>,
    table: Option<&'a dyn TableLike>,
    path: String,
    place: Place,
}

/// A value as it was written.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    Item(&'a Item),
    Variable(&'a str),
}

impl<'a> Section<'a> {
    /// The root table of `document`.
    pub(super) fn root(
        document: Option<&'a Document>,
        keys: &'static Keys,
        environment: &'a Environment,
        findings: &'a Findings,
    ) -> Self {
        let table = document.map(|document| document.toml.as_table() as &dyn TableLike);
        let place = document.map_or(Place::Default, |document| Place::file(document.path()));
        let root =
            Self { findings, environment, document, table, path: String::new(), place };
        root.refuse_unknown(keys);
        root
    }

    /// The table `keys.name` in this one; empty if it is absent.
    pub(super) fn section(&self, keys: &'static Keys) -> Self {
        let item = self.table.and_then(|table| table.get(keys.name));
        let place = self.place_of(keys.name);
        let table = item.and_then(Item::as_table_like);
        if table.is_none() && item.is_some() {
            let what = format!("must be a table: [{}]", self.key(keys.name));
            self.findings.problem(&place, &self.key(keys.name), &what);
        }
        self.inner(keys, self.key(keys.name), table, place)
    }

    /// The tables in the list `keys.name`, at most `max`.
    pub(super) fn sections(&self, keys: &'static Keys, max: usize) -> Vec<Self> {
        let Some(item) = self.table.and_then(|table| table.get(keys.name)) else { return vec![] };
        let tables: Option<Vec<(&dyn TableLike, Option<Range<usize>>)>> = match item {
            Item::ArrayOfTables(tables) => {
                Some(tables.iter().map(|table| (table as &dyn TableLike, table.span())).collect())
            }
            Item::Value(value) => value.as_array().and_then(|array| {
                let inline = array.iter().map(|value| {
                    value.as_inline_table().map(|table| (table as &dyn TableLike, value.span()))
                });
                inline.collect()
            }),
            _ => None,
        };
        let tables = tables.unwrap_or_else(|| {
            self.problem(keys.name, &format!("must be a list of tables: [[{}]]", self.key(keys.name)));
            vec![]
        });
        if tables.len() > max {
            self.problem(keys.name, &format!("{} entries, more than {max}", tables.len()));
            return vec![];
        }
        let place = |span| self.document.map_or(Place::Default, |document| document.place(span));
        let numbered = tables.into_iter().enumerate();
        numbered
            .map(|(at, (table, span))| {
                let path = format!("{}[{at}]", self.key(keys.name));
                self.inner(keys, path, Some(table), place(span))
            })
            .collect()
    }

    /// The table that stands where the value `key` might, such as `{ file = … }`.
    pub(super) fn table_at(&self, key: &str, keys: &'static Keys) -> Option<Self> {
        let table = self.table?.get(key)?.as_table_like()?;
        Some(self.inner(keys, self.key(key), Some(table), self.place_of(key)))
    }

    fn inner(
        &self,
        keys: &'static Keys,
        path: String,
        table: Option<&'a dyn TableLike>,
        place: Place,
    ) -> Self {
        let inner = Self { table, path, place, ..self.clone() };
        inner.refuse_unknown(keys);
        inner
    }

    fn refuse_unknown(&self, keys: &'static Keys) {
        let names = self.table.into_iter().flat_map(TableLike::iter).map(|(name, _)| name);
        for name in names.filter(|name| !keys.known().any(|known| known == *name)) {
            let place = if self.path.is_empty() { keys.name.to_owned() } else { format!("[{}]", self.path) };
            let what = if keys.later.contains(&name) {
                format!("`{name}` is not in this version; remove it")
            } else {
                format!("unknown key `{name}` in {place}{}", suggest(name, keys.known()))
            };
            self.problem(name, &what);
        }
    }

    /// The value of `key` as `parse` understands it; a complaint of `parse` becomes a problem, and the value is left out.
    pub(super) fn read<T>(
        &self,
        key: &str,
        parse: impl FnOnce(Raw<'a>) -> Result<T, String>,
    ) -> Option<T> {
        let overridden = self.environment.override_of(&self.key(key));
        let raw = match overridden {
            Some((_, value)) => Raw::Variable(value),
            None => Raw::Item(self.table?.get(key)?),
        };
        parse(raw).inspect_err(|what| self.problem(key, what)).ok()
    }

    /// Likewise for text in the form of `T`.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, key: &str) -> Option<T> {
        self.read(key, |raw| raw.text()?.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// Likewise for a duration above zero.
    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        self.read(key, |raw| match raw.duration()? {
            Duration::ZERO => Err("must be more than zero, such as \"10s\"".to_owned()),
            duration => Ok(duration),
        })
    }

    /// Likewise for a value without which nothing works.
    pub(super) fn required<T>(&self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.has(key) {
            self.problem(key, "is required");
        }
        value
    }

    /// Where `key` got its value; the table itself if it has none there.
    pub(super) fn place_of(&self, key: &str) -> Place {
        if let Some((name, _)) = self.environment.override_of(&self.key(key)) {
            return Place::Variable(name);
        }
        let found = self.table.and_then(|table| table.get_key_value(key));
        match (found, self.document) {
            (Some((key, item)), Some(document)) => document.place(key.span().or(item.span())),
            _ => self.place.clone(),
        }
    }

    /// Whether `key` has a value that is not its default.
    pub(super) fn has(&self, key: &str) -> bool {
        self.environment.override_of(&self.key(key)).is_some()
            || self.table.is_some_and(|table| table.contains_key(key))
    }

    /// `key` with the path of its table: `credentials[2].secret`.
    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn problem(&self, key: &str, what: &str) {
        self.findings.problem(&self.place_of(key), &self.key(key), what);
    }

    pub(super) fn warn(&self, key: &str, what: &str) {
        self.findings.warn(&self.place_of(key), &self.key(key), what);
    }

    /// The directory that relative paths in `key` begin at: that of the file, none for a variable.
    pub(super) fn directory_of(&self, key: &str) -> &'a Path {
        let file = matches!(self.place_of(key), Place::File { .. });
        let document = self.document.filter(|_| file);
        document.and_then(|document| document.path().parent()).unwrap_or(Path::new(""))
    }
}

impl<'a> Raw<'a> {
    /// A string.
    pub(super) fn text(self) -> Result<&'a str, String> {
        match self {
            Self::Variable(text) => Ok(text),
            Self::Item(item) => item
                .as_str()
                .ok_or_else(|| format!("must be a string, found {}", item.type_name())),
        }
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
        let duration = humantime::parse_duration(text)
            .map_err(|error| format!("{text:?} is no duration such as \"8s\" or \"10m\": {error}"))?;
        if !duration.subsec_nanos().is_multiple_of(1_000_000) {
            return Err(format!("{text:?} is not in whole milliseconds"));
        }
        if duration > DURATION_MAX {
            return Err(format!("{text:?} is more than a year"));
        }
        Ok(duration)
    }

    /// One of the named `choices`.
    pub(super) fn choice<T: Copy>(self, choices: &[(&'static str, T)]) -> Result<T, String> {
        let text = self.text()?;
        let chosen = choices.iter().find(|(name, _)| *name == text);
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            format!("unknown value {text:?}{}", suggest(text, choices.iter().map(|(name, _)| *name)))
        })
    }
}

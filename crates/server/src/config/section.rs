//! Typed access to the tables of a file, each value with its key and place.

use std::path::Path;
use std::time::Duration;

use toml_edit::{Item, TableLike};

use super::document::{Document, entries, listed};
use super::environment::Environment;
use super::error::{Findings, Place, suggest};
use super::keys::Keys;
use super::value::Raw;

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

impl<'a> Section<'a> {
    /// The root table of `document`.
    pub(super) fn root(
        document: Option<&'a Document>,
        keys: &'static Keys,
        environment: &'a Environment,
        findings: &'a Findings,
    ) -> Self {
        let table = document.map(|document| document.root() as &dyn TableLike);
        let place = document.map_or(Place::Default, |document| Place::file(document.path()));
        let root = Self { findings, environment, document, table, path: String::new(), place };
        root.refuse_unknown(keys);
        root
    }

    /// The same table, whose problems from now on are told to `findings`.
    pub(super) fn telling(self, findings: &'a Findings) -> Self {
        Self { findings, ..self }
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
        let tables = listed(item).unwrap_or_else(|| {
            let what = format!("must be a list of tables: [[{}]]", self.key(keys.name));
            self.problem(keys.name, &what);
            vec![]
        });
        if tables.len() > max {
            self.problem(keys.name, &format!("{} entries, more than {max}", tables.len()));
            return vec![];
        }
        let numbered = tables.into_iter().enumerate().map(|(at, (table, span))| {
            let path = format!("{}[{at}]", self.key(keys.name));
            let place = self.document.map_or(Place::Default, |document| document.place(span));
            self.inner(keys, path, Some(table), place)
        });
        numbered.collect()
    }

    /// The names and tables in the list `keys.name`, at most `max`; a name comes with an empty table.
    pub(super) fn entries(&self, keys: &'static Keys, max: usize) -> Vec<(Option<&'a str>, Self)> {
        let Some(item) = self.table.and_then(|table| table.get(keys.name)) else { return vec![] };
        let entries = entries(item).unwrap_or_else(|| {
            self.problem(keys.name, "must be a list of names and tables: [\"name\", { … }]");
            vec![]
        });
        if entries.len() > max {
            self.problem(keys.name, &format!("{} entries, more than {max}", entries.len()));
            return vec![];
        }
        let numbered = entries.into_iter().enumerate().map(|(at, (entry, span))| {
            let path = format!("{}[{at}]", self.key(keys.name));
            let place = self.document.map_or(Place::Default, |document| document.place(span));
            (entry.err(), self.inner(keys, path, entry.ok(), place))
        });
        numbered.collect()
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
            let place = if self.path.is_empty() {
                keys.name.to_owned()
            } else {
                format!("[{}]", self.path)
            };
            let what = format!("unknown key `{name}` in {place}{}", suggest(name, keys.known()));
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

    /// Likewise; if it is absent, `default` is parsed instead.
    pub(super) fn read_or<T>(
        &self,
        key: &str,
        default: &'static str,
        parse: impl FnOnce(Raw<'a>) -> Result<T, String>,
    ) -> Option<T> {
        if self.has(key) {
            return self.read(key, parse);
        }
        parse(Raw::Variable(default)).inspect_err(|what| self.problem(key, what)).ok()
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

    /// Where `key` got its value, be it from the default.
    pub(super) fn source_of(&self, key: &str) -> Place {
        if self.has(key) { self.place_of(key) } else { Place::Default }
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

    /// Whether it is a file that gives `key` its value.
    pub(super) fn in_file(&self, key: &str) -> bool {
        matches!(self.source_of(key), Place::File { .. })
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

    /// The path of the table itself.
    pub(super) fn name(&self) -> &str {
        &self.path
    }

    pub(super) fn problem(&self, key: &str, what: &str) {
        self.findings.problem(&self.place_of(key), &self.key(key), what);
    }

    /// A problem of the table itself.
    pub(super) fn problem_here(&self, what: &str) {
        self.findings.problem(&self.place, &self.path, what);
    }

    /// Where the table itself stands.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn warn(&self, key: &str, what: &str) {
        self.findings.warn(&self.place_of(key), &self.key(key), what);
    }

    /// The directory that relative paths in `key` begin at: that of the file, none for a variable.
    pub(super) fn directory_of(&self, key: &str) -> &'a Path {
        let file = self.in_file(key);
        let document = self.document.filter(|_| file);
        document.and_then(|document| document.path().parent()).unwrap_or(Path::new(""))
    }
}

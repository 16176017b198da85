//! A parsed file that knows the line of everything in it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml_edit::{Document as Toml, Item, Table, TableLike};

use super::error::Place;

/// A parsed file.
#[derive(Debug)]
pub(super) struct Document {
    path: Arc<Path>,
    toml: Toml<String>,
    newlines: Vec<usize>,
}

/// A table in a list, and where it stands.
pub(super) type Listed<'a> = (&'a dyn TableLike, Option<Range<usize>>);

impl Document {
    /// Parses `text`; a syntax error is told without the line itself, which may hold a secret.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, (Place, String)> {
        let path: Arc<Path> = path.into();
        let newlines: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
        let start = |line: usize| if line == 0 { 0 } else { newlines[line - 1] + 1 };
        match Toml::parse(text.to_owned()) {
            Ok(toml) => Ok(Self { path, toml, newlines }),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let line = newlines.partition_point(|newline| *newline < at);
                let column = text.get(start(line)..at).map_or(0, |before| before.chars().count());
                let place = Place::File { path, line: Some(line + 1), column: Some(column + 1) };
                Err((place, format!("not TOML: {}", error.message())))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn root(&self) -> &Table {
        self.toml.as_table()
    }

    /// The line in which `span` begins.
    pub(super) fn place(&self, span: Option<Range<usize>>) -> Place {
        let line = span.map(|span| self.newlines.partition_point(|at| *at < span.start) + 1);
        Place::File { path: Arc::clone(&self.path), line, column: None }
    }
}

/// A name or a table in a list, and where it stands.
pub(super) type Entry<'a> = (Result<&'a dyn TableLike, &'a str>, Option<Range<usize>>);

/// The names and tables that `item` lists, if it is such a list: `["a", { … }]`.
pub(super) fn entries(item: &Item) -> Option<Vec<Entry<'_>>> {
    if let Some(tables) = listed(item) {
        return Some(tables.into_iter().map(|(table, span)| (Ok(table), span)).collect());
    }
    let entry = |value: &'_ toml_edit::Value| match value.as_str() {
        Some(_) => true,
        None => value.is_inline_table(),
    };
    let values = item.as_array().filter(|array| array.iter().all(entry))?;
    let entries = values.iter().filter_map(|value| {
        let table = value.as_inline_table().map(|table| Ok(table as &dyn TableLike));
        Some((table.or_else(|| value.as_str().map(Err))?, value.span()))
    });
    Some(entries.collect())
}

/// The tables that `item` lists and where they stand, if it is such a list: `[[a]]`, or `a = [{ … }]`.
pub(super) fn listed(item: &Item) -> Option<Vec<Listed<'_>>> {
    match item {
        Item::ArrayOfTables(tables) => {
            Some(tables.iter().map(|table| (table as &dyn TableLike, table.span())).collect())
        }
        Item::Value(value) => {
            let inline = value.as_array()?.iter().map(|value| {
                value.as_inline_table().map(|table| (table as &dyn TableLike, value.span()))
            });
            inline.collect()
        }
        _ => None,
    }
}

//! Whether a history was allowed: each rule in a file of its own, unit by unit.

mod calls;
mod fences;
mod overlap;
mod published;
mod reads;
mod sends;
#[cfg(test)]
mod testing;

use crate::history::History;
use crate::limits::Limits;
use crate::record::Record;
use crate::tokens::Tokens;
use crate::violation::{Kind, Violation};

/// All that was not allowed, oldest first.
pub fn check(history: &History, limits: &Limits) -> Vec<Violation> {
    let mut found = Vec::new();
    for unit in history.units() {
        let records: Vec<&Record> = history.of(unit).collect();
        let tokens = Tokens::of(&records);
        let ends_at_ms = history.ends_at_ms();
        let case = Case { unit, records, tokens, ends_at_ms, limits };
        reads::check(&case, &mut found);
        fences::check(&case, &mut found);
        sends::check(&case, &mut found);
        overlap::check(&case, &mut found);
        published::check(&case, &mut found);
        calls::check(&case, &mut found);
    }
    found.sort_by_key(|violation| (violation.at_ms, violation.kind));
    found
}

/// One unit, judged.
#[derive(Debug)]
struct Case<'a> {
    unit: &'a str,
    records: Vec<&'a Record>,
    tokens: Tokens<'a>,
    ends_at_ms: u64,
    limits: &'a Limits,
}

impl Case<'_> {
    fn violation(&self, kind: Kind, at_ms: u64, to_ms: u64, what: String) -> Violation {
        Violation { kind, unit: self.unit.to_owned(), at_ms, to_ms, what }
    }
}

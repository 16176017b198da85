//! What was told to one receiver of one trouble, as the cluster remembers it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::trouble::Trouble;

/// A claim that ends further ahead than this was made before the store's clock went back.
const CLAIM_MAX_MS: u64 = 120_000;

/// What was told, and who is about to tell. Zero and empty mean "never"; instants are the store's, in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// When the trouble was first claimed for telling: about when it began.
    #[serde(skip_serializing_if = "is_zero")]
    pub since_ms: u64,
    /// When it was last told that it lasts.
    #[serde(skip_serializing_if = "is_zero")]
    pub told_ms: u64,
    /// When it was told that it is over.
    #[serde(skip_serializing_if = "is_zero")]
    pub over_ms: u64,
    /// The workers that it concerned when it was told.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub workers: BTreeSet<String>,
    /// Messages in a row that could not be delivered.
    #[serde(skip_serializing_if = "is_none")]
    pub failures: u32,
    /// Nobody tries before this.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_before_ms: u64,
    /// The identity of the worker that is about to tell.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub holder: String,
    /// Until when the others leave that to it; then it is thought dead, and another tells.
    #[serde(skip_serializing_if = "is_zero")]
    pub until_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_none(number: &u32) -> bool {
    *number == 0
}

impl Record {
    /// The record in `text`; what cannot be read counts for nothing told.
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The record as text.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether it was told that the trouble lasts, and not that it is over.
    pub const fn is_open(&self) -> bool {
        self.told_ms > 0 && self.over_ms == 0
    }

    /// Whether `trouble` is over although its last refusal stands: it was told to be over and not met since, or the address
    /// that it is about let another worker through that was refused there.
    pub fn is_refuted(&self, trouble: &Trouble) -> bool {
        let Trouble { key, workers, answered, met_ms, .. } = trouble;
        let let_through =
            key.address.is_some() && self.workers.contains(answered) && !workers.contains(answered);
        let_through || (self.over_ms > 0 && *met_ms <= self.over_ms)
    }

    /// Until when another worker than `me` is about to tell; 0 if none is.
    pub fn held_until_ms(&self, me: &str, now_ms: u64) -> u64 {
        let held = self.until_ms > now_ms && self.until_ms < now_ms.saturating_add(CLAIM_MAX_MS);
        if held && self.holder != me { self.until_ms } else { 0 }
    }

    /// Nobody is about to tell any more.
    pub fn release(&mut self) {
        self.holder.clear();
        self.until_ms = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_as_it_was_written_and_nonsense_is_none() {
        let record = Record { told_ms: 5, holder: "worker-1#01".to_owned(), ..Record::default() };
        assert_eq!(record.write(), r#"{"told_ms":5,"holder":"worker-1#01"}"#);
        assert_eq!(Record::read(&record.write()), record);
        for text in ["", "nonsense", "{\"told_ms\":-1}"] {
            assert_eq!(Record::read(text), Record::default(), "{text}");
        }
    }

    #[test]
    fn a_claim_holds_others_off_until_it_ends_or_cannot_be_true() {
        let held = |until_ms| Record { holder: "a".to_owned(), until_ms, ..Record::default() };
        assert_eq!(held(1_010).held_until_ms("b", 1_000), 1_010);
        assert_eq!(held(1_010).held_until_ms("a", 1_000), 0);
        assert_eq!(held(1_000).held_until_ms("b", 1_000), 0);
        assert_eq!(held(1_000 + CLAIM_MAX_MS).held_until_ms("b", 1_000), 0);
    }
}

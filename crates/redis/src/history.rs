//! The history of a credential, for people: what came of refreshes, and what was done to its tokens. Never a token.
//!
//! The scripts write it (`scripts/prelude.lua`, `remember`), each line with the transition that it tells of.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use futures_util::future::join_all;
use redis::Value;
use zhongkong_core::credential::{CredentialId, Kind};
use zhongkong_core::ports::StoreError;

use crate::link::settled;
use crate::reply::strange;
use crate::store::{RedisStore, millis_of};

/// So many entries are kept of a credential; with the next one the oldest goes.
pub const HISTORY_MAX: usize = 200;
/// A text that is longer was not written by a script of ours.
const TEXT_MAX: usize = 512;

/// The name of an entry; that of an older entry is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    ms: u64,
    number: u64,
}

/// One line of the history. What an entry does not tell is empty, or 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Its name.
    pub entry: EntryId,
    /// When it was, in milliseconds since 1970 by Redis' clock; the last time, if it came again and again.
    pub time_ms: u64,
    /// Which of the credential's tokens it is about.
    pub kind: Kind,
    /// What happened: `refreshed`, `unchanged`, `refused`, `unknown`, `not_sent`, `fenced` (how a refresh ended),
    /// `unfinished` (it never told), `doubted`, `reported`, `forced`, `invalidated`, `paused`, `resumed`, `kept`, `lost`.
    pub what: String,
    /// Who did it: a worker, or who asked for it.
    pub by: String,
    /// Why the refresh was owed; of a report, what speaks for it.
    pub reason: String,
    /// The claim's number.
    pub fence: u64,
    /// The token's number.
    pub generation: u64,
    /// The token's fingerprint.
    pub fingerprint: String,
    /// The token's whole life, in milliseconds.
    pub life_ms: u64,
    /// From the request to its recorded outcome, in milliseconds.
    pub took_ms: u64,
    /// Why the token may not be the newest, by the names in the state, comma-separated.
    pub doubt: String,
    /// Whom a refusal concerns.
    pub scope: String,
    /// What it is called.
    pub status: String,
    /// The upstream's code.
    pub code: Option<i64>,
    /// The upstream's words, or why there was no answer.
    pub message: String,
    /// When it is tried again, or served, in milliseconds since 1970.
    pub retry_at_ms: u64,
    /// How often it happened like this, one after the other.
    pub times: u64,
    /// When it happened like this for the first of these times; 0 if it was once.
    pub since_ms: u64,
    /// The SDK at whose key somebody else's token was found, by the name of its layout.
    pub layout: String,
}

/// Which entries are asked for, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// Only those of this kind.
    pub kind: Option<Kind>,
    /// Only those before this one.
    pub before: Option<EntryId>,
    /// At most so many.
    pub limit: usize,
}

/// The entries of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The newest first.
    pub entries: Vec<HistoryEntry>,
    /// There are older ones.
    pub more: bool,
    /// Redis' time, in milliseconds since 1970.
    pub now_ms: u64,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.number)
    }
}

/// Not the name of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry is named by two numbers, such as 1795380778000-0")]
pub struct BadEntryId;

impl FromStr for EntryId {
    type Err = BadEntryId;

    fn from_str(text: &str) -> Result<Self, BadEntryId> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let number = |text: &str| text.parse().ok().filter(|_| digits(text)).ok_or(BadEntryId);
        let (ms, count) = text.split_once('-').ok_or(BadEntryId)?;
        Ok(Self { ms: number(ms)?, number: number(count)? })
    }
}

impl RedisStore {
    /// A page of the history of `id`; without entries if Redis has none.
    pub async fn history(
        &self,
        id: &CredentialId,
        page: HistoryPage,
    ) -> Result<History, StoreError> {
        let HistoryPage { kind, before, limit } = page;
        let key = self.keys.history(id);
        let end = match before {
            None => "+".to_owned(),
            // Redis refuses to begin before it. No entry is named so, and none is older.
            Some(first @ EntryId { ms: 0, number: 0 }) => first.to_string(),
            Some(entry) => format!("({entry}"),
        };
        // There are never more than these, so that those of one kind are found among them.
        let count = if kind.is_some() { HISTORY_MAX } else { limit.min(HISTORY_MAX) + 1 };
        let mut pipe = redis::pipe();
        pipe.cmd("XREVRANGE").arg(&[&key, &end, "-", "COUNT"]).arg(count).cmd("TIME");
        let mut results = self.nodes.send("history", &key, &mut pipe).await?.into_iter();
        let found = settled(results.next())?;
        let found: Vec<Value> =
            redis::from_redis_value(found).map_err(|_| strange("a history that is no stream"))?;
        let now_ms = settled(results.next()).ok().and_then(millis_of).unwrap_or_default();
        let mut entries: Vec<HistoryEntry> = found.into_iter().filter_map(entry_of).collect();
        entries.retain(|entry| kind.is_none_or(|kind| entry.kind == kind));
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok(History { entries, more, now_ms })
    }

    /// The newest entries of several credentials, at most `limit` of each and of all together, newest first.
    pub async fn histories(
        &self,
        ids: &[CredentialId],
        limit: usize,
    ) -> Result<Vec<(CredentialId, HistoryEntry)>, StoreError> {
        let page = HistoryPage { kind: None, before: None, limit };
        let read = ids.iter().map(async |id| (id, self.history(id, page).await));
        let mut all = Vec::new();
        let (mut told, mut refused) = (ids.is_empty(), None);
        for (id, history) in join_all(read).await {
            match history {
                Ok(history) => {
                    told = true;
                    all.extend(history.entries.into_iter().map(|entry| (id.clone(), entry)));
                }
                // A part of a cluster that is away hides nothing of the rest.
                Err(error) => refused = Some(error),
            }
        }
        if let Some(error) = refused.filter(|_| !told) {
            return Err(error);
        }
        all.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.entry));
        all.truncate(limit);
        Ok(all)
    }
}

/// One entry; none if it is nothing that a script wrote.
fn entry_of(value: Value) -> Option<HistoryEntry> {
    let (entry, fields): (String, HashMap<String, String>) = redis::from_redis_value(value).ok()?;
    let entry: EntryId = entry.parse().ok()?;
    // People see it in a terminal: whatever somebody wrote there by hand is to do nothing but be read.
    let text = |name: &str| -> String {
        let text = fields.get(name).map_or("", String::as_str);
        text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect()
    };
    let number = |name: &str| text(name).parse::<u64>().unwrap_or_default();
    let given_ms = Some(number("time_ms")).filter(|ms| *ms > 0);
    let what = text("type");
    (!what.is_empty()).then_some(())?;
    Some(HistoryEntry {
        entry,
        time_ms: given_ms.unwrap_or(entry.ms),
        kind: text("kind").parse().ok()?,
        what,
        by: text("by"),
        reason: text("reason"),
        fence: number("fence"),
        generation: number("generation"),
        fingerprint: text("fingerprint"),
        life_ms: number("life_ms"),
        took_ms: number("took_ms"),
        doubt: text("doubt"),
        scope: text("scope"),
        status: text("status"),
        code: text("code").parse().ok(),
        message: text("message"),
        retry_at_ms: number("retry_at_ms"),
        times: number("times").max(1),
        since_ms: number("since_ms"),
        layout: text("layout"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_named_by_two_numbers_and_nothing_else() {
        let id: EntryId = "1795380778000-12".parse().unwrap();
        assert_eq!(id.to_string(), "1795380778000-12");
        assert!(id > "1795380778000-2".parse().unwrap());
        for bad in
            ["", "-", "1", "1-", "-1", "+1-1", "1-1-1", "1-x", "(1-1", "99999999999999999999-0"]
        {
            assert_eq!(bad.parse::<EntryId>(), Err(BadEntryId), "{bad}");
        }
    }

    #[test]
    fn what_was_written_by_hand_is_read_as_far_as_it_goes_and_shows_no_control_character() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let entry = |fields: &[&str]| {
            let fields = fields.iter().map(|text| bulk(text)).collect();
            entry_of(Value::Array(vec![bulk("5-1"), Value::Array(fields)]))
        };
        let read = entry(&[
            "type",
            "re\u{1b}[31mfused",
            "kind",
            "access_token",
            "times",
            "x",
            "code",
            "-1",
            "time_ms",
            "3",
        ])
        .unwrap();
        assert_eq!((read.what.as_str(), read.times, read.code), ("re[31mfused", 1, Some(-1)));
        assert_eq!((read.entry.to_string(), read.time_ms), ("5-1".to_owned(), 3));
        assert_eq!(entry(&["kind", "access_token"]), None);
        assert_eq!(entry(&["type", "refused", "kind", "nothing"]), None);
        assert_eq!(entry_of(Value::Nil), None);
    }
}

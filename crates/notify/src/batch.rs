//! Troubles that are told together, from the claim to what came of it.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::problem::Problem;
use crate::rate::Sent;
use crate::record::Record;
use crate::trouble::{Key, Trouble};

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It began.
    Begun,
    /// It is over.
    Over,
    /// It lasts.
    Reminder,
}

/// One trouble of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Which.
    pub key: Key,
    /// How it is now; none if it is over.
    pub trouble: Option<Trouble>,
    /// What the store holds of it.
    pub(crate) stored: Option<String>,
    /// What that says.
    pub(crate) record: Record,
}

/// One message, before it is put into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What is told.
    pub what: What,
    /// Of which problem.
    pub problem: Problem,
    /// At which address.
    pub address: Option<IpAddr>,
    /// Of which units, each once.
    pub items: Vec<Item>,
    /// How many more units have the same problem, as was told before.
    pub others: usize,
    /// When, by the store's clock.
    pub now_ms: u64,
}

/// A change of one field of what is stored, from what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The field.
    pub field: String,
    /// What it must be for the change to be made; none = absent.
    pub was: Option<String>,
    /// What it becomes; none = absent.
    pub becomes: Option<String>,
}

impl Item {
    /// How long the trouble has lasted at `now_ms`, in milliseconds.
    pub const fn lasted_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.record.since_ms)
    }

    /// When it began, as far as is known.
    pub const fn since_ms(&self) -> u64 {
        self.record.since_ms
    }

    /// The change that stores what the record says now.
    fn change(&mut self) -> Change {
        let becomes = Some(self.record.write());
        let was = std::mem::replace(&mut self.stored, becomes.clone());
        Change { field: self.key.to_string(), was, becomes }
    }
}

impl Batch {
    /// Claims the telling for `me` from `now_ms` until `until_ms`, or goes on claiming it; one message counts against the
    /// rate with it. Whoever gets these changes made may send.
    pub fn claim(
        &mut self,
        me: &str,
        now_ms: u64,
        until_ms: u64,
        sent: &mut Option<String>,
    ) -> Vec<Change> {
        let next = Sent::read(sent.as_deref()).with(now_ms).write();
        let was = sent.replace(next.clone());
        let rate = Change { field: Sent::FIELD.to_owned(), was, becomes: Some(next) };
        let begun = self.what == What::Begun;
        let claims = self.items.iter_mut().map(|item| {
            let record = &mut item.record;
            if begun && (record.since_ms == 0 || record.over_ms > 0) {
                // What began again after it was over is another one.
                *record = Record { since_ms: now_ms, ..Record::default() };
            }
            if let Some(trouble) = &item.trouble {
                record.workers.clone_from(&trouble.workers);
            }
            me.clone_into(&mut record.holder);
            record.until_ms = until_ms;
            item.change()
        });
        std::iter::once(rate).chain(claims).collect()
    }

    /// It was delivered.
    pub fn told(&mut self, now_ms: u64) -> Vec<Change> {
        let over = self.what == What::Over;
        self.each(|record| {
            record.failures = 0;
            record.not_before_ms = 0;
            *(if over { &mut record.over_ms } else { &mut record.told_ms }) = now_ms;
        })
    }

    /// It was not delivered, and nobody tries before `not_before_ms`.
    pub fn put_off(&mut self, not_before_ms: u64) -> Vec<Change> {
        self.each(|record| {
            record.failures = record.failures.saturating_add(1);
            record.not_before_ms = not_before_ms;
        })
    }

    /// Messages about the same in a row that could not be delivered.
    pub fn failures(&self) -> u32 {
        self.items.iter().map(|item| item.record.failures).max().unwrap_or(0)
    }

    fn each(&mut self, change: impl Fn(&mut Record)) -> Vec<Change> {
        let changes = self.items.iter_mut().map(|item| {
            item.record.release();
            change(&mut item.record);
            item.change()
        });
        changes.collect()
    }

    /// Names the message: one that is sent again, also by another worker, has the same name if it tells the same.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update([self.what as u8]);
        for Item { key, record, .. } in &self.items {
            hash.update(format!("{key} {} {}\n", record.since_ms, record.told_ms));
        }
        format!("msg_{}", hex::encode(&hash.finalize()[..12]))
    }
}

//! The stream in which readers leave reports: each is served by one worker, and then gone.

use std::collections::{BTreeMap, VecDeque};

use zhongkong_core::credential::Unit;
use zhongkong_core::token::Fingerprint;

/// Of two workers that adopt the same entries, the later one finds them younger than this, and leaves them.
const ADOPTED_AFTER_MS: u64 = 1_000;
/// An entry that this worker itself took so long ago got lost on its way, or could not be recorded.
const RETRIED_AFTER_MS: u64 = 30_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct Inbox {
    /// What nobody has taken.
    left: VecDeque<(u64, Unit, Fingerprint)>,
    /// What a worker took and has not finished.
    taken: BTreeMap<u64, Taken>,
    last_entry: u64,
}

#[derive(Clone, Debug)]
struct Taken {
    owner: String,
    at_ms: u64,
    tries: u64,
    unit: Unit,
    fingerprint: Fingerprint,
}

/// A report that was taken: its name, its unit and token, and how often it was handed out before.
pub(crate) type Entry = (u64, Unit, Fingerprint, u64);

impl Inbox {
    pub(crate) fn leave(&mut self, unit: Unit, fingerprint: Fingerprint) {
        self.last_entry += 1;
        self.left.push_back((self.last_entry, unit, fingerprint));
    }

    pub(crate) fn take(&mut self, identity: &str, at_ms: u64) -> Vec<Entry> {
        let Self { left, taken, .. } = self;
        let entries = left.drain(..).map(|(entry, unit, fingerprint)| {
            let (owner, name, token) = (identity.to_owned(), unit.clone(), fingerprint.clone());
            taken.insert(entry, Taken { owner, at_ms, tries: 1, unit, fingerprint });
            (entry, name, token, 0)
        });
        entries.collect()
    }

    /// What `identity` took a while ago, and what workers took that are not among `living`.
    pub(crate) fn adopt(&mut self, identity: &str, living: &[String], now_ms: u64) -> Vec<Entry> {
        let mut adopted = Vec::new();
        for (entry, taken) in &mut self.taken {
            let own = taken.owner == identity;
            let after_ms = if own { RETRIED_AFTER_MS } else { ADOPTED_AFTER_MS };
            let orphan = own || !living.contains(&taken.owner);
            if orphan && now_ms >= taken.at_ms.saturating_add(after_ms) {
                identity.clone_into(&mut taken.owner);
                taken.at_ms = now_ms;
                let (unit, fingerprint) = (taken.unit.clone(), taken.fingerprint.clone());
                adopted.push((*entry, unit, fingerprint, taken.tries));
                taken.tries += 1;
            }
        }
        adopted
    }

    pub(crate) fn finish(&mut self, entry: u64) {
        self.taken.remove(&entry);
    }
}

//! Publication: the keys of SDKs, kept current beside the reader's own.
//!
//! They hold what the state holds, in other bytes. Each has a fence of its own beside it, the fence of the token that was
//! published there last: of two publishers the one with the older token gives way, however late it comes. What is not sure to
//! live here is not sure to live at the reader's key either.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::credential::Unit;
use crate::state::CLOCK_SLACK_MS;

/// The fence outlives the key by this much, in milliseconds: whoever would put an older token back is held off as long as that
/// could live.
pub const FENCE_OUTLIVES_MS: u64 = 60_000;

/// What stands at a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(Vec<u8>),
    /// These fields of a hash.
    Fields(Vec<(String, Vec<u8>)>),
}

/// What is to stand at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// The longest that it lives, in milliseconds, where that is less than the token.
    pub ttl_max_ms: Option<u64>,
}

/// What is to stand at the keys of one SDK, the token's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The fence under which the token was committed.
    pub token_fence: u64,
    /// When its life ends, by the store's clock.
    pub expires_at_ms: u64,
    /// What is left of its life by the worker's boot clock, in milliseconds: the primary that has the key may have another
    /// clock than the one that has the state.
    pub left_ms: u64,
    /// The keys.
    pub entries: Vec<Entry>,
}

/// What was found at a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The fence of the token that was published there last; 0 if none is remembered.
    pub fence: u64,
    /// What stands there.
    pub value: Option<Value>,
    /// How long that lives, in milliseconds; none if it never expires.
    pub ttl_ms: Option<u64>,
}

/// What a publication came to at one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stood there already.
    Current,
    /// It was written: another token than the last stands there now.
    Written,
    /// It was written again.
    Repaired(Was),
    /// A newer token was published there: nothing was written.
    Fenced,
    /// The token's life is over: it stands there no more.
    Ended,
}

/// What was wrong with a key at which this very token had been published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Was {
    /// It was gone.
    Gone,
    /// Something else stood there.
    Other(Value),
    /// It lived for too long, or not for long enough.
    Mistimed,
}

/// Keys of which a worker wants to be told when they are touched, beside the readers'.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracked {
    /// Each key, and the unit whose token it holds.
    pub keys: HashMap<String, Unit>,
    /// Beginnings that cover all of them.
    pub prefixes: BTreeSet<String>,
}

impl Publication {
    /// What is left of the token's life at the store's time `now_ms`: less where two clocks disagree.
    pub fn left_ms(&self, now_ms: u64) -> u64 {
        self.expires_at_ms.saturating_sub(now_ms).min(self.left_ms)
    }

    /// Decides for one key at the store's time `now_ms`, where no key of the publication has a newer token.
    pub fn settle(&self, entry: &Entry, stored: &Stored, now_ms: u64) -> Outcome {
        if stored.fence > self.token_fence {
            return Outcome::Fenced;
        }
        let left_ms = self.left_ms(now_ms);
        if left_ms == 0 {
            return Outcome::Ended;
        }
        let holds = entry.is_held_by(stored.value.as_ref());
        if stored.fence < self.token_fence {
            return Outcome::Written;
        }
        match &stored.value {
            _ if holds && entry.is_in_time(stored.ttl_ms, left_ms) => Outcome::Current,
            _ if holds => Outcome::Repaired(Was::Mistimed),
            Some(value) => Outcome::Repaired(Was::Other(value.clone())),
            None => Outcome::Repaired(Was::Gone),
        }
    }
}

impl Entry {
    /// How long the key is to live while the token has `left_ms`.
    pub fn ttl_ms(&self, left_ms: u64) -> u64 {
        self.ttl_max_ms.map_or(left_ms, |most| most.min(left_ms))
    }

    /// Whether `found` is what is to stand there. Other fields of a hash are nobody's concern.
    pub fn is_held_by(&self, found: Option<&Value>) -> bool {
        match (&self.value, found) {
            (Value::Text(text), Some(Value::Text(found))) => text == found,
            (Value::Fields(fields), Some(Value::Fields(found))) => {
                fields.iter().all(|field| found.contains(field))
            }
            _ => false,
        }
    }

    /// Whether a key that lives so long needs no other end. One that is to end before the token is renewed at half of that.
    fn is_in_time(&self, ttl_ms: Option<u64>, left_ms: u64) -> bool {
        let Some(ttl_ms) = ttl_ms else { return false };
        let wanted_ms = self.ttl_ms(left_ms);
        if wanted_ms < left_ms {
            return (wanted_ms / 2..=wanted_ms + CLOCK_SLACK_MS).contains(&ttl_ms);
        }
        ttl_ms.abs_diff(wanted_ms) <= CLOCK_SLACK_MS
    }
}

impl Outcome {
    /// The outcome in metrics; none if nothing was done.
    pub const fn as_str(&self) -> Option<&'static str> {
        match self {
            Self::Current | Self::Ended => None,
            // Its life alone was set anew: nobody did anything wrong.
            Self::Written | Self::Repaired(Was::Mistimed) => Some("written"),
            Self::Repaired(_) => Some("repaired"),
            Self::Fenced => Some("fenced"),
        }
    }
}

impl Tracked {
    /// The fewest beginnings that cover all of `prefixes`, of which none begins another: the store refuses those, and looks
    /// through all of them at each write.
    pub fn fewest<'a>(prefixes: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
        let mut sorted: Vec<&str> = prefixes.collect();
        sorted.sort_unstable();
        let mut fewest: Vec<&str> = Vec::new();
        for prefix in sorted {
            if fewest.last().is_none_or(|last| !prefix.starts_with(last)) {
                fewest.push(prefix);
            }
        }
        fewest.into_iter().map(ToOwned::to_owned).collect()
    }
}

/// Sizes alone: it holds a token.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(bytes) => write!(f, "Text({} bytes)", bytes.len()),
            Self::Fields(fields) => write!(f, "Fields({})", fields.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_000_000;

    fn text(text: &str) -> Value {
        Value::Text(text.as_bytes().to_vec())
    }

    fn entry() -> Entry {
        Entry { key: "k".to_owned(), value: text("T"), ttl_max_ms: None }
    }

    fn settled(entry: &Entry, fence: u64, value: Option<&str>, ttl_ms: Option<u64>) -> Outcome {
        let publication = Publication {
            token_fence: 7,
            expires_at_ms: NOW_MS + 100_000,
            left_ms: 200_000,
            entries: Vec::new(),
        };
        let stored = Stored { fence, value: value.map(text), ttl_ms };
        publication.settle(entry, &stored, NOW_MS)
    }

    #[test]
    fn a_newer_token_is_never_replaced_by_an_older_one() {
        assert_eq!(settled(&entry(), 8, Some("newer"), Some(1)), Outcome::Fenced);
        assert_eq!(settled(&entry(), 8, None, None), Outcome::Fenced, "not even where it is gone");
        assert_eq!(settled(&entry(), 6, Some("older"), Some(1)), Outcome::Written);
        assert_eq!(settled(&entry(), 0, None, None), Outcome::Written);
    }

    #[test]
    fn the_same_token_is_written_again_only_where_something_is_wrong_with_it() {
        let of = |value, ttl_ms| settled(&entry(), 7, value, ttl_ms);
        assert_eq!(of(Some("T"), Some(100_000)), Outcome::Current);
        assert_eq!(of(Some("T"), Some(98_999)), Outcome::Repaired(Was::Mistimed));
        assert_eq!(of(Some("T"), None), Outcome::Repaired(Was::Mistimed), "it would never end");
        assert_eq!(of(None, None), Outcome::Repaired(Was::Gone));
        assert_eq!(of(Some("X"), Some(100_000)), Outcome::Repaired(Was::Other(text("X"))));
    }

    #[test]
    fn a_key_that_is_to_end_before_the_token_is_renewed_at_half_of_its_life() {
        let short = Entry { ttl_max_ms: Some(20_000), ..entry() };
        assert_eq!(short.ttl_ms(100_000), 20_000);
        assert_eq!(settled(&short, 7, Some("T"), Some(10_000)), Outcome::Current);
        assert_eq!(settled(&short, 7, Some("T"), Some(9_999)), Outcome::Repaired(Was::Mistimed));
    }

    #[test]
    fn a_dead_token_is_not_written_by_whichever_clock_it_died() {
        let publication = |expires_at_ms, left_ms| Publication {
            token_fence: 7,
            expires_at_ms,
            left_ms,
            entries: Vec::new(),
        };
        let ended = |of: Publication| of.settle(&entry(), &Stored::default(), NOW_MS);
        assert_eq!(ended(publication(NOW_MS, 5_000)), Outcome::Ended);
        assert_eq!(ended(publication(NOW_MS + 5_000, 0)), Outcome::Ended);
        assert_eq!(publication(NOW_MS + 5_000, 3_000).left_ms(NOW_MS), 3_000);
    }

    #[test]
    fn other_fields_of_a_hash_are_nobodys_concern() {
        let fields = |all: &[(&str, &str)]| {
            let field =
                |(name, text): &(&str, &str)| ((*name).to_owned(), text.as_bytes().to_vec());
            Value::Fields(all.iter().map(field).collect())
        };
        let entry = Entry { value: fields(&[("value", "T")]), ..entry() };
        assert!(entry.is_held_by(Some(&fields(&[("other", "1"), ("value", "T")]))));
        assert!(!entry.is_held_by(Some(&fields(&[("value", "X")]))));
        assert!(!entry.is_held_by(Some(&text("T"))) && !entry.is_held_by(None));
    }

    #[test]
    fn no_beginning_that_is_tracked_begins_another() {
        let all = ["zhongkong:{", "wx:", "wx:access_token:", "wx", "a_b", "a_b_c", "a"];
        let fewest = Tracked::fewest(all.into_iter());
        assert_eq!(fewest.into_iter().collect::<Vec<_>>(), ["a", "wx", "zhongkong:{"]);
    }
}

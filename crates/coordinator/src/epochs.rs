//! The epochs of the store's primaries, as a worker hears of them: from each beat all, from each unit that it reads or
//! claims that of the primary which has the unit.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The epochs that are no news.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    heard: BTreeSet<Arc<str>>,
    /// A beat told all of them.
    complete: bool,
}

/// What an epoch says of the units that were read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing.
    Old,
    /// They may be of another epoch by now: they are to be read again.
    First,
    /// That too, since a primary was restarted, replaced or failed over.
    Another,
}

impl Epochs {
    /// The epoch of one primary, and whether it is news. Before the first beat it is not: that will tell.
    pub(crate) fn hear(&mut self, epoch: &str) -> (Arc<str>, News) {
        if let Some(known) = self.heard.get(epoch) {
            return (Arc::clone(known), News::Old);
        }
        let epoch: Arc<str> = epoch.into();
        // Where the epoch rule is off, none is known.
        if epoch.is_empty() {
            return (epoch, News::Old);
        }
        self.heard.insert(Arc::clone(&epoch));
        (epoch, if self.complete { News::Another } else { News::Old })
    }

    /// The epochs of all primaries, and whether one of them is news.
    pub(crate) fn hear_all(&mut self, epochs: &BTreeSet<String>) -> News {
        if epochs.is_empty() {
            return News::Old;
        }
        let all_known = epochs.iter().all(|epoch| self.heard.contains(epoch.as_str()));
        let shared = |epoch: &String| {
            self.heard.get(epoch.as_str()).map_or_else(|| epoch.as_str().into(), Arc::clone)
        };
        self.heard = epochs.iter().map(shared).collect();
        match (all_known, std::mem::replace(&mut self.complete, true)) {
            (true, _) => News::Old,
            (false, false) => News::First,
            (false, true) => News::Another,
        }
    }

    /// The epoch of any unit, if there is but one primary; else empty.
    pub(crate) fn only(&self) -> &str {
        match self.heard.first() {
            Some(epoch) if self.heard.len() == 1 => epoch,
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(epochs: &mut Epochs, names: &[&str]) -> News {
        epochs.hear_all(&names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_first_beat_makes_units_be_read_again_only_if_it_tells_what_no_unit_told() {
        let mut epochs = Epochs::default();
        assert_eq!(epochs.hear("a").1, News::Old);
        assert_eq!(all(&mut epochs, &["a"]), News::Old);
        let mut epochs = Epochs::default();
        assert_eq!(epochs.hear("a").1, News::Old);
        assert_eq!(all(&mut epochs, &["a", "b"]), News::First);
    }

    #[test]
    fn an_epoch_is_news_once_whoever_tells_it_first() {
        let mut epochs = Epochs::default();
        all(&mut epochs, &["a", "b"]);
        assert_eq!(epochs.hear("b").1, News::Old);
        assert_eq!(epochs.hear("c").1, News::Another);
        assert_eq!(epochs.hear("c").1, News::Old);
        assert_eq!(all(&mut epochs, &["a", "c"]), News::Old);
        assert_eq!(all(&mut epochs, &["a", "b"]), News::Another, "b is back");
        assert_eq!(all(&mut epochs, &["a"]), News::Old, "one primary less");
    }

    #[test]
    fn of_several_primaries_none_speaks_for_a_unit_that_was_not_read() {
        let mut epochs = Epochs::default();
        assert_eq!(epochs.only(), "");
        all(&mut epochs, &["a"]);
        assert_eq!(epochs.only(), "a");
        all(&mut epochs, &["a", "b"]);
        assert_eq!(epochs.only(), "");
    }

    #[test]
    fn where_the_rule_is_off_there_is_no_epoch_and_no_news() {
        let mut epochs = Epochs::default();
        assert_eq!(all(&mut epochs, &[]), News::Old);
        assert_eq!(epochs.hear(""), ("".into(), News::Old));
    }
}

//! Whether what a connection tells of the epoch can be believed.

use std::collections::VecDeque;

/// Epochs of one connection that are remembered.
const REMEMBERED_MAX: usize = 8;
/// Left epochs that may come back on one connection. One can once in an hour, when the last replica left.
const RETURNS_MAX: u32 = 2;

/// What one connection told, and whether it is believed.
///
/// A connection leads to one process, or through a proxy to one after the other: an epoch that was left does not come
/// back. Some proxies send each command to another server, and nothing that `INFO` says holds for the next command.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    told: VecDeque<String>,
    returns: u32,
    flaps: bool,
}

impl Epochs {
    /// Another connection begins to tell. What was found of the way to Redis stays found.
    pub(crate) fn begin(&mut self) {
        *self = Self { flaps: self.flaps, ..Self::default() };
    }

    /// An epoch that the connection told; empty if it is not to be believed, as when none was told.
    pub(crate) fn hear(&mut self, epoch: Option<String>) -> String {
        let Some(epoch) = epoch.filter(|_| !self.flaps) else { return String::new() };
        if self.told.back() == Some(&epoch) {
            return epoch;
        }
        if self.told.contains(&epoch) {
            self.returns += 1;
            self.told.retain(|told| *told != epoch);
        }
        self.told.push_back(epoch.clone());
        if self.told.len() > REMEMBERED_MAX {
            self.told.pop_front();
        }
        if self.returns <= RETURNS_MAX {
            return epoch;
        }
        self.flaps = true;
        tracing::warn!(
            "redis tells another run at each turn, as behind a proxy that sends each command to another server: the \
             epoch rule is off, so that writes which a failover loses go unnoticed. Lead redis.url past the proxy, to \
             the primary"
        );
        String::new()
    }

    /// Whether nothing that is told is believed any more.
    pub(crate) const fn flaps(&self) -> bool {
        self.flaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(epochs: &mut Epochs, names: &str) -> Vec<String> {
        names.chars().map(|name| epochs.hear(Some(name.to_string()))).collect()
    }

    #[test]
    fn one_epoch_after_the_other_is_believed() {
        let mut epochs = Epochs::default();
        assert_eq!(heard(&mut epochs, "aabbcdefghijkl").concat(), "aabbcdefghijkl");
        assert_eq!(epochs.hear(None), "");
        assert!(!epochs.flaps());
    }

    #[test]
    fn epochs_that_come_back_again_and_again_are_not_believed_any_more() {
        let mut epochs = Epochs::default();
        assert_eq!(heard(&mut epochs, "abab").concat(), "abab");
        assert_eq!(heard(&mut epochs, "abc").concat(), "");
        assert!(epochs.flaps());
        epochs.begin();
        assert_eq!(heard(&mut epochs, "a").concat(), "");
    }

    #[test]
    fn another_connection_may_lead_back_to_where_an_earlier_one_led() {
        let mut epochs = Epochs::default();
        for _ in 0..5 {
            assert_eq!(heard(&mut epochs, "ab").concat(), "ab");
            epochs.begin();
        }
    }
}

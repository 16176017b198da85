//! Not too often: the robots take twenty messages a minute, and shut whoever sends more.

/// The time over which messages are counted, in milliseconds.
const WINDOW_MS: u64 = 60_000;

/// When messages were last sent to one receiver, by the whole cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent(Vec<u64>);

impl Sent {
    /// The name of its field among the records: no key of a trouble.
    pub const FIELD: &str = "sent";

    /// Reads what [`Self::write`] wrote; what cannot be read counts for nothing sent.
    pub fn read(text: Option<&str>) -> Self {
        Self(text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default())
    }

    /// As text.
    pub fn write(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// From when one more may be sent, of at most `a_minute`.
    pub fn room_at_ms(&self, a_minute: usize, now_ms: u64) -> u64 {
        let recent: Vec<u64> = self.recent(now_ms).collect();
        let first = recent.len().checked_sub(a_minute).and_then(|at| recent.get(at));
        first.map_or(0, |at| at + WINDOW_MS)
    }

    /// One more is sent now.
    #[must_use]
    pub fn with(&self, now_ms: u64) -> Self {
        Self(self.recent(now_ms).chain([now_ms]).collect())
    }

    fn recent(&self, now_ms: u64) -> impl Iterator<Item = u64> {
        // One of the future is from before the clock went back.
        self.0.iter().copied().filter(move |at| *at <= now_ms && *at + WINDOW_MS > now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_so_many_are_sent_within_any_minute() {
        let (mut sent, mut now_ms, mut all) = (Sent::default(), 1_000_000, Vec::new());
        for _ in 0..100 {
            now_ms = now_ms.max(sent.room_at_ms(18, now_ms)) + 7;
            sent = Sent::read(Some(&sent.with(now_ms).write()));
            all.push(now_ms);
        }
        let most =
            all.iter().map(|at| all.iter().filter(move |o| (*at..at + WINDOW_MS).contains(o)));
        assert_eq!(most.map(Iterator::count).max(), Some(18));
        assert!(now_ms < 1_000_000 + 6 * WINDOW_MS, "and no fewer");
    }

    #[test]
    fn what_cannot_be_read_or_is_of_the_future_holds_nobody_up() {
        assert_eq!(Sent::read(Some("nonsense")).room_at_ms(1, 5), 0);
        assert_eq!(Sent(vec![100]).room_at_ms(1, 5), 0);
    }
}

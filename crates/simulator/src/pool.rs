//! The pools of tokens and tickets of an account, and when a newer token ends an older one's life.

use crate::book::{Book, Death, Pool};

/// How long tokens live, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) life: u64,
    pub(crate) overlap: u64,
    pub(crate) forced_overlap: u64,
    pub(crate) newest_two_only: bool,
}

/// A token that a call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) serial: u64,
    /// Whether this call brought it into being.
    pub(crate) minted: bool,
}

/// Every call issues, and starts the death of the token before.
#[derive(Debug, Default)]
pub(crate) struct LegacyPool {
    newest: Option<u64>,
    before: Option<u64>,
}

impl LegacyPool {
    pub(crate) fn fetch(
        &mut self,
        book: &mut Book,
        app_id: &str,
        times: Lifetimes,
        now_ms: u64,
    ) -> Fetched {
        if let Some(previous) = self.newest {
            book.die(previous, now_ms.saturating_add(times.overlap), Death::Replaced);
        }
        if times.newest_two_only
            && let Some(older) = self.before
        {
            book.die(older, now_ms, Death::NotNewestTwo);
        }
        let serial = book.mint(app_id, Pool::Legacy, now_ms, times.life);
        self.before = self.newest.replace(serial);
        Fetched { serial, minted: true }
    }
}

/// The same token until its last minutes, unless a refresh is forced.
#[derive(Debug, Default)]
pub(crate) struct StablePool {
    current: Option<u64>,
    forced_at_ms: Option<u64>,
}

impl StablePool {
    pub(crate) fn fetch(
        &mut self,
        book: &mut Book,
        app_id: &str,
        times: Lifetimes,
        now_ms: u64,
    ) -> Fetched {
        // The remaining life decides, not whether the token was revoked: the real upstream was
        // seen to hand out a token that business calls refuse.
        let current = self.current.and_then(|serial| book.get(serial));
        if let Some(token) = current
            && token.expires_at_ms.saturating_sub(now_ms) > times.overlap
        {
            return Fetched { serial: token.serial, minted: false };
        }
        let serial = book.mint(app_id, Pool::Stable, now_ms, times.life);
        self.current = Some(serial);
        Fetched { serial, minted: true }
    }

    /// Whether a forced refresh would refresh, being far enough from the one before.
    pub(crate) fn may_force(&self, now_ms: u64, spacing_ms: u64) -> bool {
        self.forced_at_ms.is_none_or(|at| now_ms >= at.saturating_add(spacing_ms))
    }

    pub(crate) fn force(
        &mut self,
        book: &mut Book,
        app_id: &str,
        times: Lifetimes,
        now_ms: u64,
    ) -> Fetched {
        if let Some(previous) = self.current {
            book.die(previous, now_ms.saturating_add(times.forced_overlap), Death::Forced);
        }
        let serial = book.mint(app_id, Pool::Stable, now_ms, times.life);
        self.current = Some(serial);
        self.forced_at_ms = Some(now_ms);
        Fetched { serial, minted: true }
    }

    /// Lets the next normal call issue, although the current token has life left.
    pub(crate) fn forget(&mut self, serial: u64) {
        self.current = self.current.filter(|current| *current != serial);
    }
}

/// The same ticket for so long as a token lives, counted from instants that no call moves, and accepted for half as long
/// again: as callers of the real upstream report. No call ends a ticket's life.
#[derive(Debug, Default)]
pub(crate) struct TicketPool {
    /// The number of the time for which the ticket is handed out, and the ticket.
    current: Option<(u64, u64)>,
}

impl TicketPool {
    pub(crate) fn fetch(
        &mut self,
        book: &mut Book,
        app_id: &str,
        pool: Pool,
        times: Lifetimes,
        now_ms: u64,
    ) -> Fetched {
        let handed_out = times.life.max(1);
        let number = now_ms / handed_out;
        if let Some((of, serial)) = self.current
            && of == number
        {
            return Fetched { serial, minted: false };
        }
        let accepted = handed_out.saturating_add(handed_out / 2);
        let serial = book.mint(app_id, pool, number * handed_out, accepted);
        self.current = Some((number, serial));
        Fetched { serial, minted: true }
    }

    /// Lets the next call get another ticket before its time.
    pub(crate) fn forget(&mut self, serial: u64) {
        self.current = self.current.filter(|(_, current)| *current != serial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Lifetimes =
        Lifetimes { life: 7_200, overlap: 300, forced_overlap: 0, newest_two_only: false };

    fn book() -> Book {
        Book::new([7; 16], 136)
    }

    #[test]
    fn a_ticket_is_handed_out_for_one_life_and_accepted_for_half_of_one_more() {
        let (mut book, mut pool) = (book(), TicketPool::default());
        let mut fetch = |now_ms| pool.fetch(&mut book, "wx", Pool::Jsapi, TIMES, now_ms);
        let first = fetch(7_100);
        assert!(first.minted);
        assert_eq!(fetch(7_199), Fetched { minted: false, ..first });
        let second = fetch(7_200);
        assert!(second.minted && second.serial != first.serial);
        assert_eq!(dies(&book, first), (10_800, Death::Expired));
        assert_eq!(dies(&book, second), (18_000, Death::Expired));
    }

    fn dies(book: &Book, fetched: Fetched) -> (u64, Death) {
        let token = book.get(fetched.serial).unwrap();
        (token.dies_at_ms, token.death)
    }

    #[test]
    fn every_legacy_call_issues_and_the_previous_token_dies_after_the_overlap() {
        let (mut book, mut pool) = (book(), LegacyPool::default());
        let first = pool.fetch(&mut book, "wx", TIMES, 1_000);
        assert_eq!(dies(&book, first), (8_200, Death::Expired));
        let second = pool.fetch(&mut book, "wx", TIMES, 2_000);
        assert_ne!(first.serial, second.serial);
        assert_eq!(dies(&book, first), (2_300, Death::Replaced));
        let token = book.get(first.serial).unwrap();
        assert!(token.is_alive(2_299) && !token.is_alive(2_300));
    }

    #[test]
    fn the_overlap_never_lengthens_a_life() {
        let (mut book, mut pool) = (book(), LegacyPool::default());
        let first = pool.fetch(&mut book, "wx", TIMES, 0);
        pool.fetch(&mut book, "wx", TIMES, 7_000);
        assert_eq!(dies(&book, first), (7_200, Death::Expired));
        pool.fetch(&mut book, "wx", TIMES, 7_100);
        assert_eq!(dies(&book, first), (7_200, Death::Expired));
    }

    #[test]
    fn three_tokens_live_side_by_side_unless_only_the_newest_two_do() {
        for (newest_two_only, expected) in
            [(false, (310, Death::Replaced)), (true, (20, Death::NotNewestTwo))]
        {
            let times = Lifetimes { newest_two_only, ..TIMES };
            let (mut book, mut pool) = (book(), LegacyPool::default());
            let first = pool.fetch(&mut book, "wx", times, 0);
            pool.fetch(&mut book, "wx", times, 10);
            pool.fetch(&mut book, "wx", times, 20);
            assert_eq!(dies(&book, first), expected);
        }
    }

    #[test]
    fn a_stable_token_is_the_same_until_only_the_overlap_is_left() {
        let (mut book, mut pool) = (book(), StablePool::default());
        let first = pool.fetch(&mut book, "wx", TIMES, 0);
        assert!(first.minted);
        let again = pool.fetch(&mut book, "wx", TIMES, 6_899);
        assert_eq!(again, Fetched { serial: first.serial, minted: false });
        let renewed = pool.fetch(&mut book, "wx", TIMES, 6_900);
        assert!(renewed.minted);
        assert_eq!(dies(&book, first), (7_200, Death::Expired));
    }

    #[test]
    fn a_forced_refresh_kills_the_previous_token_at_once() {
        let (mut book, mut pool) = (book(), StablePool::default());
        let first = pool.fetch(&mut book, "wx", TIMES, 0);
        assert!(pool.may_force(10, 30));
        let forced = pool.force(&mut book, "wx", TIMES, 10);
        assert_eq!(dies(&book, first), (10, Death::Forced));
        assert!(!pool.may_force(39, 30) && pool.may_force(40, 30));
        assert_eq!(pool.fetch(&mut book, "wx", TIMES, 39).serial, forced.serial);
    }

    #[test]
    fn a_revoked_stable_token_is_handed_out_until_it_is_forgotten() {
        let (mut book, mut pool) = (book(), StablePool::default());
        let first = pool.fetch(&mut book, "wx", TIMES, 0);
        book.revoke(first.serial, 5);
        assert_eq!(pool.fetch(&mut book, "wx", TIMES, 6).serial, first.serial);
        pool.forget(first.serial);
        assert!(pool.fetch(&mut book, "wx", TIMES, 7).minted);
    }
}

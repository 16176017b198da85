//! Sign-ins that fail: so many from one address, and then fewer.
//!
//! Whoever shows a bearer token that nobody has is counted by address. Beyond the limit the answer is 429, which says
//! when to try again. It locks nobody out who has a right one: services that share an address, be it a proxy's, must not
//! lose their tokens because one of them is misconfigured. A token of sixteen characters and more is out of any guesser's
//! reach, and to compare it costs the same whether it is right or not. Shorter ones can be guessed: while their address is
//! beyond the limit they are refused even if they are right, since a limit that tells right from wrong limits nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tokio::time::Instant;

/// As many may fail in a row: a person who mistypes, a service that was given the wrong token.
const BURST: u32 = 20;
/// And then one in this time.
const EVERY: Duration = Duration::from_secs(3);
/// The time that a whole burst takes to be forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(EVERY.as_secs() * BURST as u64);
/// The most addresses that are counted. One more takes the place of the one that is forgotten first.
const ADDRESSES_MAX: usize = 1_024;

/// The addresses from which sign-ins failed lately.
#[derive(Debug, Default)]
pub(super) struct SignIns {
    failed: HashMap<IpAddr, Failed>,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug)]
struct Failed {
    /// When all its failures are forgotten; each adds [`EVERY`].
    until: Instant,
    /// The limit was reached since its first failure, and somebody told.
    told: bool,
}

/// What a failed sign-in leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is one of those that happen.
    Unauthorized,
    /// There were too many.
    TooMany {
        /// Until another one is looked at.
        wait: Duration,
        /// It is the first one beyond the limit, of which the operator is told.
        first: bool,
    },
}

impl SignIns {
    /// A bearer token that nobody has came from `address`.
    pub(super) fn fail(&mut self, address: IpAddr, now: Instant) -> Verdict {
        let address = network(address);
        self.make_room(address, now);
        let failed = self.failed.entry(address).or_insert(Failed { until: now, told: false });
        let until = failed.until.max(now) + EVERY;
        let beyond = until.saturating_duration_since(now + FORGOTTEN_AFTER);
        if beyond.is_zero() {
            failed.until = until;
            return Verdict::Unauthorized;
        }
        let first = !std::mem::replace(&mut failed.told, true);
        Verdict::TooMany { wait: beyond, first }
    }

    /// Whether `address` is beyond the limit: the next failure from there would be one too many.
    pub(super) fn is_barred(&self, address: IpAddr, now: Instant) -> bool {
        let failed = self.failed.get(&network(address));
        failed.is_some_and(|failed| failed.until + EVERY > now + FORGOTTEN_AFTER)
    }

    /// Forgets what is over; and if `address` needs a place that there is not, whoever would be forgotten next.
    fn make_room(&mut self, address: IpAddr, now: Instant) {
        if self.failed.get(&address).is_some_and(|failed| failed.until <= now) {
            self.failed.remove(&address);
        }
        if self.failed.len() < ADDRESSES_MAX || self.failed.contains_key(&address) {
            return;
        }
        self.failed.retain(|_, failed| failed.until > now);
        if self.failed.len() < ADDRESSES_MAX {
            return;
        }
        let next = self.failed.iter().min_by_key(|(_, failed)| failed.until);
        if let Some(next) = next.map(|(address, _)| *address) {
            self.failed.remove(&next);
        }
    }
}

/// Whom an address stands for: of IPv6, whoever has one has all of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        short @ IpAddr::V4(_) => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Fails until it is one too many; how often that took, and its verdict.
    fn exhaust(sign_ins: &mut SignIns, address: IpAddr, now: Instant) -> (u32, Verdict) {
        for count in 0.. {
            match sign_ins.fail(address, now) {
                Verdict::Unauthorized => {}
                beyond @ Verdict::TooMany { .. } => return (count, beyond),
            }
        }
        unreachable!()
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_a_burst_there_is_one_in_three_seconds_and_after_a_minute_a_burst_again() {
        let (mut sign_ins, begun) = (SignIns::default(), Instant::now());
        assert!(!sign_ins.is_barred(ONE, begun));
        let first = Verdict::TooMany { wait: EVERY, first: true };
        assert_eq!(exhaust(&mut sign_ins, ONE, begun), (BURST, first));
        assert!(sign_ins.is_barred(ONE, begun));
        let second = begun + Duration::from_secs(1);
        let again = Verdict::TooMany { wait: Duration::from_secs(2), first: false };
        assert_eq!(sign_ins.fail(ONE, second), again, "who insists does not wait longer");

        let third = begun + EVERY;
        assert!(!sign_ins.is_barred(ONE, third));
        let again = Verdict::TooMany { wait: EVERY, first: false };
        assert_eq!(exhaust(&mut sign_ins, ONE, third), (1, again), "it is the same episode");

        let forgotten = third + FORGOTTEN_AFTER;
        assert_eq!(exhaust(&mut sign_ins, ONE, forgotten), (BURST, first), "and this another");
    }

    #[tokio::test(start_paused = true)]
    async fn each_address_is_counted_for_itself_and_a_network_of_ipv6_as_one() {
        let (mut sign_ins, now) = (SignIns::default(), Instant::now());
        exhaust(&mut sign_ins, ONE, now);
        exhaust(&mut sign_ins, address("2001:db8:0:1::1"), now);
        for (other, barred) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.2", false),
            ("2001:db8:0:1:ffff::7", true),
            ("2001:db8:0:2::1", false),
            ("::1", false),
        ] {
            assert_eq!(sign_ins.is_barred(address(other), now), barred, "{other}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_addresses_fail_the_worst_are_remembered_and_the_table_stays_small() {
        let (mut sign_ins, now) = (SignIns::default(), Instant::now());
        exhaust(&mut sign_ins, ONE, now);
        for n in 0..3 * u32::try_from(ADDRESSES_MAX).unwrap() {
            let other = IpAddr::from(n.wrapping_add(0x0a00_0000).to_be_bytes());
            assert_eq!(sign_ins.fail(other, now), Verdict::Unauthorized);
            assert!(sign_ins.failed.len() <= ADDRESSES_MAX);
        }
        assert!(sign_ins.is_barred(ONE, now));
        let later = now + FORGOTTEN_AFTER;
        sign_ins.fail(address("198.51.100.1"), later);
        assert_eq!(sign_ins.failed.len(), 1, "all others are forgotten");
    }
}

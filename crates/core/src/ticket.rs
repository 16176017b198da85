//! Tickets: what is got with an access token, what is known of it, and what follows.
//!
//! # What is known
//! - Documented by the platform: `GET cgi-bin/ticket/getticket` with an access token answers
//!   `{"errcode": 0, "errmsg": "ok", "ticket": …, "expires_in": 7200}`. Its quota is "very limited", and the ticket is to be
//!   kept in one place for all.
//! - Reported by developers in the platform's community, and confirmed by nobody: a repeated call returns the same ticket,
//!   and `expires_in` stays 7200 instead of counting down; the ticket changes about every two hours; the one before is
//!   accepted for about an hour more, some three hours in all. Neither a call nor another access token ends its life.
//!
//! # What follows
//! - What an answer names is not what is left. A ticket that was just handed out may be as old as its named life, and is
//!   then accepted for half as long again: half of the named life, counted from the sending of the request, is what is
//!   published ([`SURE_PART`]). If the reports are wrong, and the documented life counts from the answer, that is less than
//!   what is left, and never more.
//! - So a ticket is asked for `ahead` of the end of that half, about once an hour, whether or not the access token was
//!   replaced meanwhile: a refresh of the one forces none of the other.
//! - No two fetches harm each other: [`Nature::Lasting`](crate::nature::Nature::Lasting). Doubt is cleared by the next answer.
//! - The quota is small: fetches keep a larger distance ([`Timing::of_tickets`]), and failures a longer one
//!   ([`RETRY_BASE`], [`RETRY_CAP`]).

use std::time::Duration;

use crate::timing::Timing;

/// One in so many parts of the life that an answer names is sure.
pub const SURE_PART: u32 = 2;
/// The first wait after a transient failure.
pub const RETRY_BASE: Duration = Duration::from_secs(5);
/// The longest wait after a transient failure.
pub const RETRY_CAP: Duration = Duration::from_mins(10);

impl Timing {
    /// The times of the tickets of an account with these times: their fetches keep half of `overlap` between them, if that
    /// is more than `spacing`.
    #[must_use]
    pub fn of_tickets(&self) -> Self {
        let times = *self.times();
        self.with_spacing(times.spacing.max(times.overlap / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nature::Nature;
    use crate::policy::{Random, due_before_expiry};
    use crate::timing::{Times, WECHAT};

    #[test]
    fn the_times_of_tickets_hold_together_and_keep_a_distance() {
        for times in [WECHAT, Times { spacing: Duration::from_secs(200), ..WECHAT }] {
            let of_tickets = Timing::new(times).unwrap().of_tickets();
            assert_eq!(Timing::new(*of_tickets.times()), Ok(of_tickets));
            let expected = times.spacing.max(Duration::from_secs(150));
            assert_eq!(*of_tickets.times(), Times { spacing: expected, ..times });
        }
    }

    /// The upstream as it is reported to be: a ticket is handed out for two hours, and accepted for three.
    #[test]
    fn a_ticket_of_any_age_is_accepted_as_long_as_it_is_published_and_asked_for_about_hourly() {
        let (named, accepted) = (Duration::from_hours(2), Duration::from_hours(3));
        let timing = Timing::new(WECHAT).unwrap().of_tickets();
        let life = Nature::Lasting.sure_life(named);
        for minutes in 0..120 {
            let age = Duration::from_mins(minutes);
            assert!(age + life <= accepted, "{age:?}");
        }
        let ahead = due_before_expiry(Nature::Lasting, &timing, life, Random::new(0.0));
        assert_eq!(life, ahead + Duration::from_mins(50));
    }
}

//! The local copy of one unit: what was read last, and whether it may still be handed out.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Mutex, watch};
use zhongkong_core::clock::Boot;
use zhongkong_core::credential::Unit;
use zhongkong_core::token::{Fingerprint, Token as Text};

use crate::clock;
use crate::error::{NoToken, Why};
use crate::token::Token;

/// The token to use now, and how fresh it is. Take it for one call, and ask anew for the next.
pub struct Current {
    view: Guard<Arc<View>>,
}

/// One unit's copy. Only the follower writes it.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) unit: Unit,
    pub(crate) key: String,
    max_age: Duration,
    view: ArcSwap<View>,
    /// Somebody wants it to be read (again).
    wanted: AtomicBool,
    /// Tells who waits that the view is another one.
    changed: watch::Sender<()>,
    /// The token that was reported last, and when.
    pub(crate) reported: Mutex<Option<(Fingerprint, Boot)>>,
}

/// What is known of a unit. Replaced as a whole, so that no reader sees a part of it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    found: Found,
    /// [`Token::none`] unless one was found.
    token: Token,
    /// When the read was sent that found this.
    confirmed: Boot,
    /// From here on it is not handed out; the start of the clock if there is nothing to hand out.
    until: Boot,
    why: Option<Why>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Absence,
    Token,
}

/// What Redis answered about a unit.
#[derive(Debug)]
pub(crate) enum Answer {
    Absent,
    Token {
        text: Text,
        /// What is left of its life, if Redis told.
        left: Option<Duration>,
    },
}

impl View {
    fn unread(why: Option<Why>) -> Self {
        Self {
            found: Found::Nothing,
            token: Token::none(),
            confirmed: Boot::default(),
            until: Boot::default(),
            why,
        }
    }

    /// What is known after `answer` to a read that was sent at `sent`.
    ///
    /// Age and life are counted from before the read was sent: both err on the side of too old.
    fn after(&self, answer: Answer, sent: Boot, max_age: Duration) -> Self {
        let Answer::Token { text, left } = answer else {
            return Self { found: Found::Absence, confirmed: sent, ..Self::unread(None) };
        };
        let expires = left.map(|left| sent + left);
        let known = self.token.expose() == text.expose();
        let token = if known { self.token.until(expires) } else { Token::new(text, expires) };
        let too_old = sent + max_age;
        let until = expires.map_or(too_old, |expires| expires.min(too_old));
        Self { found: Found::Token, token, confirmed: sent, until, why: None }
    }

    /// Why nothing is handed out at `now`.
    fn refusal(&self, now: Boot, max_age: Duration) -> NoToken {
        let (age, why) = (now.since(self.confirmed), self.why.clone());
        match self.found {
            Found::Nothing => NoToken::Unread { why },
            Found::Token if self.token.expires().is_some_and(|expires| now >= expires) => {
                NoToken::Expired { why }
            }
            Found::Token => NoToken::Stale { last: Some(self.token.clone()), age, why },
            Found::Absence if age < max_age => NoToken::Absent,
            Found::Absence => NoToken::Stale { last: None, age, why },
        }
    }
}

impl Copy {
    pub(crate) fn new(unit: Unit, key: String, max_age: Duration, why: Option<Why>) -> Self {
        Self {
            unit,
            key,
            max_age,
            view: ArcSwap::from_pointee(View::unread(why)),
            wanted: AtomicBool::new(true),
            changed: watch::Sender::new(()),
            reported: Mutex::default(),
        }
    }

    /// The token, or why there is none: an atomic load, a look at the clock and a comparison.
    pub(crate) fn current(&self) -> Result<Current, NoToken> {
        let view = self.view.load();
        let now = clock::now();
        if now < view.until { Ok(Current { view }) } else { Err(view.refusal(now, self.max_age)) }
    }

    /// Whether a read found what it found after `instant`.
    pub(crate) fn was_read_since(&self, instant: Boot) -> bool {
        let view = self.view.load();
        view.found != Found::Nothing && view.confirmed >= instant
    }

    pub(crate) fn learn(&self, answer: Answer, sent: Boot) {
        let next = self.view.load().after(answer, sent, self.max_age);
        self.replace(next);
    }

    /// The copy stays what it is, and ages.
    pub(crate) fn blame(&self, why: &Why) {
        let view = self.view.load_full();
        if view.why.as_ref() != Some(why) {
            self.replace(View { why: Some(why.clone()), ..View::clone(&view) });
        }
    }

    fn replace(&self, view: View) {
        self.view.store(Arc::new(view));
        self.changed.send_replace(());
    }

    pub(crate) fn want(&self) {
        self.wanted.store(true, Ordering::Release);
    }

    /// Whether it is to be read. To be asked before the read is sent: what is wanted later is another read.
    pub(crate) fn take_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::AcqRel)
    }

    /// Waits until `look` finds something.
    pub(crate) async fn wait_for<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        loop {
            // Marked as seen before the look, so that a change in between is not slept through.
            changes.mark_unchanged();
            if let Some(found) = look() {
                return found;
            }
            if changes.changed().await.is_err() {
                // Cannot be: the sender is this copy's.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Current {
    /// How long ago this token was confirmed to be the one in Redis; less than the bound when it was handed out.
    pub fn age(&self) -> Duration {
        clock::now().since(self.view.confirmed)
    }
}

impl Deref for Current {
    type Target = Token;
    fn deref(&self) -> &Token {
        &self.view.token
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current")
            .field("token", &self.view.token)
            .field("age", &self.age())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_AGE: Duration = Duration::from_secs(10);
    /// May be held across an await on any runtime.
    const _: fn() = || {
        fn is_free<T: Send + Sync + 'static>() {}
        is_free::<Current>();
    };

    fn at(seconds: u64) -> Boot {
        Boot::new(Duration::from_secs(seconds))
    }

    fn token(text: &str, left_s: Option<u64>) -> Answer {
        let text = Text::new(text.to_owned()).unwrap();
        Answer::Token { text, left: left_s.map(Duration::from_secs) }
    }

    fn unread() -> View {
        View::unread(None)
    }

    #[test]
    fn a_token_is_handed_out_until_it_is_too_old_or_at_its_end() {
        let until = |left_s| unread().after(token("a", left_s), at(100), MAX_AGE).until;
        assert_eq!(until(None), at(110));
        assert_eq!(until(Some(7200)), at(110));
        assert_eq!(until(Some(4)), at(104));
    }

    #[test]
    fn a_confirmation_renews_the_copy_and_takes_the_end_as_it_is_now() {
        let first = unread().after(token("a", Some(7200)), at(100), MAX_AGE);
        let again = first.after(token("a", Some(2)), at(103), MAX_AGE);
        assert_eq!((again.confirmed, again.until), (at(103), at(105)));
        let other = again.after(token("b", Some(7200)), at(104), MAX_AGE);
        assert_eq!((other.token.expose(), other.until), ("b", at(114)));
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let refusal = |view: &View, now| view.refusal(at(now), MAX_AGE);
        assert_eq!(refusal(&unread(), 100), NoToken::Unread { why: None });

        let found = unread().after(token("a", Some(15)), at(100), MAX_AGE);
        let last = Some(found.token.clone());
        assert_eq!(refusal(&found, 110), NoToken::Stale { last, age: MAX_AGE, why: None });
        // A token that is over is not even handed out as the last one.
        assert_eq!(refusal(&found, 115), NoToken::Expired { why: None });

        let absent = found.after(Answer::Absent, at(103), MAX_AGE);
        assert_eq!((absent.until, absent.token.expose()), (at(0), ""));
        assert_eq!(refusal(&absent, 112), NoToken::Absent);
        assert_eq!(refusal(&absent, 113), NoToken::Stale { last: None, age: MAX_AGE, why: None });
    }

    #[test]
    fn blame_ages_nothing_and_an_answer_clears_it() {
        let unit = Unit::access_token("wx1".parse().unwrap());
        let copy = Copy::new(unit, "key".to_owned(), MAX_AGE, None);
        let sent = clock::now();
        copy.learn(token("a", None), sent);
        copy.blame(&Why::new("lost"));
        let view = copy.view.load_full();
        assert_eq!((view.confirmed, &view.why), (sent, &Some(Why::new("lost"))));
        assert_eq!(copy.current().unwrap().expose(), "a");
        copy.learn(token("a", None), clock::now());
        assert_eq!(copy.view.load().why, None);
    }
}

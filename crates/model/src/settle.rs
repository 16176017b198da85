//! Settling: what becomes of a world in which nothing more goes wrong.
//!
//! stateright's `eventually` overlooks runs that join others, so "every doubt is settled in the end" is checked as a
//! walk of its own: from a world on, requests are processed, replies arrive, workers do what they can, the oldest first,
//! and time passes where nobody can do anything.

use zhongkong_core::outlook::Outlook;

use crate::action::Action;
use crate::bounds::{ANY, Fault, Protocol};
use crate::happened::Happened;
use crate::names;
use crate::time::NOW_MS;
use crate::world::{Phase, World};

/// Steps after which a world that has not settled never will: ten times as many as any has needed.
const STEPS_MAX: usize = 400;

impl World {
    /// Whether this world comes to rest by itself: the newest token published and honoured, nothing owed, nothing in
    /// doubt, nothing under way.
    pub fn settles(&self, protocol: &Protocol) -> bool {
        self.clone().settled(protocol).is_some()
    }

    /// The world at rest that this one comes to, if it does.
    pub fn settled(mut self, protocol: &Protocol) -> Option<Self> {
        let mut first = 0;
        self.left = self.left.and(Fault::Claim, ANY);
        for _ in 0..STEPS_MAX {
            if self.is_at_rest(protocol) {
                return Some(self);
            }
            self = self.next_without_fault(protocol, first)?;
            first += usize::from(self.happened.0 & Happened::CLAIMED > 0);
        }
        None
    }

    /// One step of a world in which nothing goes wrong. Workers claim in turn, from `first` on.
    fn next_without_fault(&self, protocol: &Protocol, first: usize) -> Option<Self> {
        let workers = 0..self.workers.len();
        let turns = workers.clone().map(|w| (w + first) % self.workers.len());
        let of_workers = workers.flat_map(|w| {
            [Action::Meet(w), Action::Repeat(w), Action::Commit(w), Action::Send(w)]
                .into_iter()
                .chain(self.is_stuck(protocol, w).then_some(Action::NotSent(w)))
                .chain(self.waits_in_vain(w).then_some(Action::Timeout(w)))
                .chain([Action::Hear(w)])
        });
        let of_all = [
            Action::Process(0),
            Action::Replicate,
            Action::Demote,
            Action::Write,
            Action::Try,
            Action::Adopt(0),
            Action::Probe,
        ];
        let claims = turns.flat_map(|w| [Action::Claim(w), Action::Keep(w)]);
        let all = of_all.into_iter().chain(of_workers).chain(claims).chain([Action::Tick]);
        let mut next = all.into_iter().find_map(|action| self.after(protocol, action))?;
        next.broken = self.broken;
        Some(next)
    }

    /// Whether worker `w` holds a claim under which it may never send.
    fn is_stuck(&self, protocol: &Protocol, w: usize) -> bool {
        matches!(self.workers[w].phase, Phase::Held { .. })
            && (self.after(protocol, Action::Send(w)).is_none()
                && self.upstream.requests.is_empty())
    }

    /// Whether worker `w` waits for a reply that will not come.
    fn waits_in_vain(&self, w: usize) -> bool {
        let waiter = u8::try_from(w).ok();
        matches!(self.workers[w].phase, Phase::Sent { .. })
            && !self.upstream.requests.iter().any(|request| request.waiter == waiter)
    }

    /// Whether nothing is under way or owed, and readers have the newest token.
    fn is_at_rest(&self, protocol: &Protocol) -> bool {
        let state = self.state();
        let published = names::token_id(state.fingerprint.as_ref());
        self.is_quiet()
            && self.stranger.is_none()
            && state.usable(NOW_MS)
            && published == self.upstream.newest
            && self.nodes[self.primary].published
            && state.doubt.is_empty()
            && !state.intent
            && (0..self.workers.len()).all(|w| {
                let outlook = state.outlook(NOW_MS, &self.viewer(w, protocol), &protocol.rules);
                matches!(outlook, Outlook::NotOwed { .. })
            })
    }
}

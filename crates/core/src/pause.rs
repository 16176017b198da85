//! Pause and resume: no refresh of this unit, whoever asks; for a migration.

use crate::refusal::Status;
use crate::state::{State, VERSION};

impl State {
    /// Whether an operator paused the unit.
    pub const fn is_paused(&self) -> bool {
        matches!(self.status, Status::Paused)
    }

    /// Pauses the unit. A claim that is current goes on to its outcome; readers keep the token to its end.
    pub fn pause(&mut self) {
        self.v = VERSION;
        self.status = Status::Paused;
    }

    /// Lets the unit be refreshed again. Refusals in force stay in force; how the last attempt ended is not known any more.
    pub fn resume(&mut self) {
        if self.is_paused() {
            self.status = if self.fingerprint.is_some() { Status::Ok } else { Status::Pending };
        }
    }

    /// Notes how an attempt ended, which a pause outlasts.
    pub(crate) fn end_as(&mut self, status: Status) {
        if !self.is_paused() {
            self.status = status;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Fingerprint;

    #[test]
    fn a_pause_outlasts_the_outcome_of_a_claim_and_ends_with_resume() {
        let mut state = State { fingerprint: Some(Fingerprint::of("T")), ..State::default() };
        state.pause();
        state.end_as(Status::Retrying);
        assert!(state.is_paused());
        state.resume();
        assert_eq!(state.status, Status::Ok);
        state.end_as(Status::Retrying);
        state.resume();
        assert_eq!(state.status, Status::Retrying);
    }
}

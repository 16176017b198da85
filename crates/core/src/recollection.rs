//! What a worker does not forget of a unit, and when it may (rule R7).

use crate::state::{Memory, OwnClaim, State};

/// A worker's memory of a unit, and what keeps it true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recollection {
    /// What claims are made with.
    pub memory: Memory,
    /// The last own claim is superseded by one above this, made in the same epoch.
    pub own_below: u64,
}

impl Recollection {
    /// Remembers this worker's last claim, also one whose reply was lost (fence 0).
    pub fn claimed(&mut self, own: OwnClaim) {
        self.memory.remembered = self.memory.remembered.max(own.fence);
        self.own_below = self.memory.remembered;
        self.memory.own = Some(own);
    }

    /// Takes in a state, seen in `epoch` if that is known: the highest fence, and the last claim of its own until a later
    /// one is seen that was made in its epoch.
    pub fn saw(&mut self, state: &State, epoch: Option<&str>) {
        self.memory.remembered = self.memory.remembered.max(state.fence);
        let Some(own) = &mut self.memory.own else { return };
        if state.shows(own) {
            own.fence = state.fence;
            if let Some(epoch) = epoch {
                epoch.clone_into(&mut own.epoch);
            }
        } else if state.epoch == own.epoch && state.fence > self.own_below {
            self.memory.own = None;
        }
    }
}

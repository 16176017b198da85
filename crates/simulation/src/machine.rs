//! The machine on which a worker runs: it can be paused, at once or at a point of a refresh, and its worker killed there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::gate::Gate;
use crate::world::TheWorld;

/// One machine, whatever runs on it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) number: usize,
    pub(crate) gate: Gate,
    process: Mutex<Option<AbortHandle>>,
}

/// What happens to the first worker that comes to a point of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trap {
    pub(crate) point: &'static str,
    pub(crate) then: Mishap,
}

/// What happens to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// It stands still for so long.
    Pause(Duration),
    /// Its worker is killed.
    Kill,
}

impl Machine {
    pub(crate) fn new(number: usize) -> Self {
        Self { number, gate: Gate::new(), process: Mutex::new(None) }
    }

    pub(crate) fn name(&self) -> String {
        format!("worker-{}", self.number)
    }

    /// What runs on it from now on.
    pub(crate) fn runs(&self, process: AbortHandle) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
    }

    /// Its worker is gone between one step and the next.
    pub(crate) fn kill(&self) {
        if let Some(process) = self.process.lock().unwrap_or_else(PoisonError::into_inner).take() {
            process.abort();
        }
    }

    /// Stands still for so long, and goes on by itself.
    pub(crate) fn pause(self: &Arc<Self>, world: &TheWorld, time: Duration) {
        world.note(format!("{} is paused for {} ms", self.name(), time.as_millis()));
        self.gate.set_open(false);
        let (machine, told) = (Arc::clone(self), Arc::clone(world));
        world.spawn(async move {
            tokio::time::sleep(time).await;
            machine.gate.set_open(true);
            told.note(format!("{} goes on", machine.name()));
        });
    }

    /// A refresh has come to `point`.
    pub(crate) async fn reach(self: &Arc<Self>, world: &TheWorld, point: &'static str) {
        let trap = world.state().trap.take_if(|trap| trap.point == point);
        match trap.map(|trap| trap.then) {
            None => {}
            Some(Mishap::Pause(time)) => {
                world.note(format!("{} has come to {point}", self.name()));
                self.pause(world, time);
            }
            Some(Mishap::Kill) => {
                world.note(format!("{} is killed at {point}", self.name()));
                self.kill();
                // Not one step more.
                std::future::pending::<()>().await;
            }
        }
        self.gate.pass().await;
    }
}

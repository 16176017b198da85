//! One run, from its seed to its verdict.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use zhongkong_core::timing::TimingError;

use crate::cast::{UNITS, accounts};
use crate::plan::{Episode, Plan, Temper};
use crate::stage::Stage;
use crate::time::Time;
use crate::verdict::{Quiet, Verdict, judge};
use crate::world::{TheWorld, World};

/// Readers look at least this often, and expired keys are removed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// No command stays under way for longer.
const LONGEST_UNDER_WAY: Duration = Duration::from_secs(15);
/// A trap that was laid last is taken away so long after.
const TRAPPED_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked whether everything is settled.
const SETTLED_EVERY: Duration = Duration::from_millis(250);

/// Why no run could be made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The times of the cast contradict each other.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// There is no runtime.
    #[error("no runtime: {0}")]
    Runtime(#[from] std::io::Error),
}

/// Plays the run of `seed`, and judges it. The same seed gives the same run, byte for byte.
pub fn simulate(seed: u64, protocol: Protocol) -> Result<Verdict, RunError> {
    let plan = Plan::draw(seed)?;
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(play(seed, plan, protocol)))
}

/// Which protocol Redis goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The whole one.
    Whole,
    /// A lock with fences, and no more: what proves that the checker sees anything.
    FencesOnly,
}

async fn play(seed: u64, plan: Plan, protocol: Protocol) -> Verdict {
    let times = *plan.profile.timing.times();
    let accounts = accounts(seed, &times, plan.profile.life, plan.strict);
    let world: TheWorld = Arc::new(World::new(seed, accounts, times.hold, protocol));
    let stage = Stage::new(Arc::clone(&world), seed, plan.clone());
    stage.begin();
    let looking = Arc::clone(&world);
    let ends_at = plan.ends_at;
    world.spawn(async move {
        while looking.time.elapsed() < ends_at {
            tokio::time::sleep(LOOK_EVERY).await;
            looking.in_redis(|_| ());
        }
    });
    let first = settle(&stage, plan.recovery).await;
    let mut quiets = Vec::new();
    let mut quiet = Quiet { from: first, to: plan.ends_at };
    for episode in &plan.episodes {
        quiets.push(Quiet { to: episode.from, ..quiet });
        quiet.from = through(&stage, episode, plan.recovery).await;
        if plan.temper == Temper::Wild {
            // Nobody may have noticed yet: a clock that was stepped, or somebody else's refresh.
            quiet.from.at = quiet.from.at.max(episode.to + plan.recovery);
        }
    }
    world.time.until(plan.ends_at).await;
    quiets.push(quiet);
    settle(&stage, plan.recovery).await;
    let verdict = judge(seed, &plan, &world, first.at, &quiets);
    stage.end();
    verdict
}

/// When everything was settled, if it was in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    pub(crate) at: Duration,
    pub(crate) in_time: bool,
}

/// Plays an episode, and waits until everything is settled again.
async fn through(stage: &Arc<Stage>, episode: &Episode, recovery: Duration) -> Settled {
    let time: Time = stage.world.time;
    for (after, fault) in &episode.faults {
        time.until(episode.from + *after).await;
        let (stage, fault) = (Arc::clone(stage), fault.clone());
        let world = Arc::clone(&stage.world);
        world.spawn(stage.play(fault));
    }
    time.until(episode.to).await;
    // A trap that was laid last catches whoever comes by soon, and nobody afterwards.
    tokio::time::sleep(TRAPPED_WITHIN).await;
    stage.clear_the_trap();
    stage.all_go_on().await;
    // What is under way may not have begun to matter.
    tokio::time::sleep(LONGEST_UNDER_WAY).await;
    settle(stage, recovery).await
}

async fn settle(stage: &Arc<Stage>, recovery: Duration) -> Settled {
    let world = &stage.world;
    let until = world.time.elapsed() + recovery;
    loop {
        let at = world.time.elapsed();
        if (0..UNITS).all(|index| world.state().is_settled(index)) {
            return Settled { at, in_time: true };
        }
        if at >= until {
            return Settled { at, in_time: false };
        }
        tokio::time::sleep(SETTLED_EVERY).await;
    }
}

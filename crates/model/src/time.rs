//! Time in ticks: every instant of a world is so many ticks away from a now that never moves.
//!
//! One tick is ten seconds, far more than the clock slack of the core, so that a step of one tick counts as a step.
//! When time passes, all instants move one tick into the past instead: worlds that differ only in their age are one.

use zhongkong_core::state::State;

/// One tick, in the store's milliseconds.
pub const TICK_MS: u64 = 10_000;
/// The store's time in every world.
pub const NOW_MS: u64 = 1_000_000 * TICK_MS;
/// The store's time in every world, in microseconds.
pub const NOW_US: u64 = NOW_MS * 1_000;
/// One tick in microseconds, as fences count.
pub const TICK_US: u64 = TICK_MS * 1_000;
/// An instant so many ticks ahead never comes nearer: the life of tokens in worlds without expiry.
pub const FAR: u64 = 60;

/// The instant `ticks` after now.
pub const fn after(ticks: u64) -> u64 {
    NOW_MS + ticks * TICK_MS
}

/// How many ticks after now `at_ms` is.
pub const fn ticks_ahead(at_ms: u64) -> i64 {
    (at_ms.cast_signed() - NOW_MS.cast_signed()) / TICK_MS.cast_signed()
}

/// Every instant of `state`.
pub fn instants(state: &mut State) -> impl Iterator<Item = &mut u64> {
    let refusals = state.refusals.iter_mut();
    [
        &mut state.claimed_at_ms,
        &mut state.drains_at_ms,
        &mut state.unsure_from_ms,
        &mut state.spaced_from_ms,
        &mut state.issued_at_ms,
        &mut state.expires_at_ms,
        &mut state.refresh_at_ms,
        &mut state.rejected_from_ms,
        &mut state.reported_at_ms,
        &mut state.alive_at_ms,
        &mut state.probing_until_ms,
        &mut state.marked_at_ms,
    ]
    .into_iter()
    .chain(refusals.flat_map(|refusal| [&mut refusal.at_ms, &mut refusal.retry_at_ms]))
    .filter(|at_ms| **at_ms > 0)
}

/// Moves the store's clock `ticks` ahead of every instant of `state`; back if negative.
pub fn pass(state: &mut State, ticks: i64) {
    for at_ms in instants(state).filter(|at_ms| **at_ms < after(FAR)) {
        *at_ms = at_ms.saturating_add_signed(-ticks * TICK_MS.cast_signed());
    }
}

/// Moves the store's clock `ticks` ahead of a fence, which is a time in microseconds.
pub const fn pass_fence(fence: &mut u64, ticks: i64) {
    if *fence > 0 {
        *fence = fence.saturating_add_signed(-ticks * TICK_US.cast_signed());
    }
}

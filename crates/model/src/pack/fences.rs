//! Fences in packed worlds: their order counts, and how far they lie ahead of the store's clock.

use crate::bounds::{Bounds, Protocol};
use crate::switch::Switch;
use crate::time::{NOW_US, TICK_US};
use crate::world::{World, fence_ticks};

/// Old fences begin here: further back than any clock steps.
const OLD_US: u64 = NOW_US - 100 * TICK_US;

/// The fences of a world, and the codes that stand for them.
pub(super) struct Fences(Vec<(u64, u16)>);

impl Fences {
    pub(super) fn of(world: &mut World, protocol: &Protocol) -> Self {
        let mut all = Vec::with_capacity(12);
        world.fences(|fence| all.push(*fence));
        all.retain(|fence| *fence > 0);
        all.sort_unstable();
        all.dedup();
        let back = i64::from(Bounds::steps_back(&world.left));
        // Where a fence counts up by one, it matters whether two are neighbours.
        let counts = protocol.lacks(Switch::Clock);
        let apart = if counts { 3 } else { 1 };
        let (mut rank, mut before, mut place) = (0_u16, 0_u64, 0_u16);
        let codes = all.iter().map(|fence| {
            let ticks = fence_ticks(*fence);
            let gap = fence - before;
            let same_tick = before > 0 && fence_ticks(before) == ticks;
            before = *fence;
            if ticks < -back {
                rank += u16::try_from(gap.min(apart)).unwrap_or(1);
                return (*fence, rank);
            }
            place = if same_tick { place + 1 } else { 0 };
            let exact = fence.wrapping_sub(NOW_US).rem_euclid(TICK_US);
            let within = if ticks == 0 && back == 0 && !counts { u64::from(place) } else { exact };
            let within = u16::try_from(within.min(255)).unwrap_or(255);
            let tick = u16::try_from(ticks + 32).unwrap_or(0);
            (*fence, 0x8000 | tick << 8 | within)
        });
        Self(codes.collect())
    }

    pub(super) fn code(&self, fence: u64) -> u16 {
        let place = self.0.iter().find(|(known, _)| *known == fence);
        place.map_or(0, |(_, code)| *code)
    }

    pub(super) const fn fence(code: u16) -> u64 {
        if code == 0 {
            0
        } else if code & 0x8000 == 0 {
            OLD_US + code as u64
        } else {
            let ticks = (code >> 8 & 0x7f) as i64 - 32;
            NOW_US.saturating_add_signed(ticks * TICK_US.cast_signed()) + (code & 0xff) as u64
        }
    }
}

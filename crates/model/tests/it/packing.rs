//! Packing loses nothing that can ever matter: a world and what is left of it when it was packed have the same future.

use std::collections::HashSet;

use stateright::Model;
use zhongkong_model::action::Action;
use zhongkong_model::bounds::Protocol;
use zhongkong_model::cases::{Case, all};
use zhongkong_model::model::RefreshModel;
use zhongkong_model::pack::Packed;
use zhongkong_model::world::World;

/// Steps of a walk, and walks of a case.
const STEPS: usize = 60;
const WALKS: u64 = 12;

/// Numbers without a pattern (xorshift), the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }
}

fn successors(world: &World, protocol: &Protocol) -> Vec<World> {
    let workers = 0..world.workers.len();
    let of_workers = workers.flat_map(|w| Action::OF_A_WORKER.map(|action| action(w)));
    let requests = 0..world.upstream.requests.len();
    let of_requests = requests.flat_map(|i| [Action::Process(i), Action::Refuse(i)]);
    let all = Action::OF_THE_WORLD.into_iter().chain(of_workers).chain(of_requests);
    all.chain([Action::Keep(0)]).filter_map(|action| world.after(protocol, action)).collect()
}

/// Walks through worlds that are never packed, and compares each with what packing leaves of it.
fn walk(case: &Case, seed: u64) {
    let protocol = Protocol::new(case.bounds).unwrap();
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut world = World::settled_from_scratch(&protocol).unwrap();
    for _ in 0..STEPS {
        let packed = Packed::new(world.clone(), &protocol);
        let left = packed.unpack(&protocol);
        assert_eq!(Packed::new(left.clone(), &protocol), packed, "{}", case.name);
        for promise in case.promises {
            let verdicts = (promise.holds(&world, &protocol), promise.holds(&left, &protocol));
            assert_eq!(verdicts.0, verdicts.1, "{}: {promise:?}", case.name);
        }
        let futures = successors(&world, &protocol);
        let pack = |worlds: &[World]| -> HashSet<Packed> {
            worlds.iter().map(|next| Packed::new(next.clone(), &protocol)).collect()
        };
        // A step that changes nothing that matters is none after packing.
        let mut before = pack(&futures);
        let mut after = pack(&successors(&left, &protocol));
        before.insert(packed.clone());
        after.insert(packed);
        assert!(before == after, "{}: {world:#?}", case.name);
        world = futures[chance.below(futures.len())].clone();
    }
}

#[test]
fn a_world_and_what_packing_leaves_of_it_have_the_same_future() {
    for case in all() {
        for seed in 1..=WALKS {
            walk(&case, seed);
        }
    }
}

#[test]
fn a_packed_world_is_small() {
    for case in all() {
        let protocol = Protocol::new(case.bounds).unwrap();
        let (promises, must_happen, settle_one_in) = (case.promises, 0, 1);
        let model = RefreshModel { protocol, promises, must_happen, settle_one_in };
        let first = model.init_states().pop().unwrap();
        assert!(first.size() < 250, "{}: {} bytes", case.name, first.size());
    }
}

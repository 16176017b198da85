//! Exploring a case: breadth first, to the end or to the first promise that is broken.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};
use zhongkong_core::timing::TimingError;

use crate::bounds::Protocol;
use crate::cases::Case;
use crate::model::RefreshModel;
use crate::story::tell;

/// What exploring a case came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Worlds that differ.
    pub unique: usize,
    /// Worlds that were met, each as often as it was.
    pub met: usize,
    /// The longest of the shortest ways to a world.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// The promise that was broken, and its story.
    pub broken: Option<(String, String)>,
    /// What should have happened somewhere, and did not.
    pub missing: Vec<&'static str>,
}

/// Explores `case` with so many threads. With one, the story is the shortest there is.
#[expect(clippy::disallowed_methods, reason = "how long it took is told, and decides nothing")]
pub fn explore(case: &Case, threads: usize) -> Result<Outcome, TimingError> {
    let protocol = Protocol::new(case.bounds)?;
    let model = RefreshModel {
        protocol,
        promises: case.promises,
        must_happen: case.must_happen,
        settle_one_in: case.settle_one_in,
    };
    let wanted: Vec<_> = model
        .properties()
        .iter()
        .filter(|property| !property.expectation.discovery_is_failure())
        .map(|property| property.name)
        .collect();
    let began = Instant::now();
    let checker = model
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let took = began.elapsed();
    let mut discoveries = checker.discoveries();
    let missing = wanted.into_iter().filter(|name| discoveries.remove(name).is_none()).collect();
    let protocol = &checker.model().protocol;
    let broken =
        discoveries.into_iter().next().map(|(name, path)| (name.to_owned(), tell(path, protocol)));
    Ok(Outcome {
        unique: checker.unique_state_count(),
        met: checker.state_count(),
        depth: checker.max_depth(),
        took,
        broken,
        missing,
    })
}

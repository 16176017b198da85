//! How many files this process may open. Each connection is one: to Redis, to an upstream, and of whoever calls.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Allows as many as the system lets it; how many that is, unless there is no limit.
///
/// The limit that a process begins with is low for the sake of programs that cannot count further than 1,024 files.
pub(crate) fn allow_all() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current }
}

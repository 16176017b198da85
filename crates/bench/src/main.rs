//! What a refresh costs, measured beside something else in the same run.
//!
//! Real workers, a real redis-server, the simulated upstream over HTTP, all on loopback. Absolute times say more about
//! the machine than about the product: what counts are counts, and ratios to what was measured beside.
//!
//! Modules in reading order:
//!
//! - [`benchmarks`]: what is measured, one file each.
//! - [`figures`], [`show`]: what came out, and how it is printed.
//! - [`stage`]: the processes of one benchmark.
//! - [`alone`]: every worker for itself, as libraries do without a coordinator.
//! - [`route`]: a bare route, in a process of its own.
//! - [`load`]: many requests over few connections.
//! - [`redis_side`], [`monitor`]: what Redis says that it did.
//! - [`process_side`]: what the kernel says that a process used.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "without its fixture there is nothing to measure; what was started ends with this process"
)]

mod alone;
mod benchmarks;
mod figures;
mod load;
mod monitor;
mod process_side;
mod redis_side;
mod route;
mod show;
mod stage;

use std::path::PathBuf;

use clap::Parser;

use crate::benchmarks::{Benchmark, Setup};

/// What a refresh costs, measured beside something else in the same run.
#[derive(Debug, Parser)]
#[command(name = "zhongkong-bench", version)]
struct Arguments {
    /// Only these; all of them if none is named.
    benchmarks: Vec<Benchmark>,
    /// How often each is repeated, in turn with what is measured beside it.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// How many units the benchmark of that name has.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    units: u32,
    /// The smallest size that says whether a benchmark works. Its figures mean nothing.
    #[arg(long)]
    smallest: bool,
    /// One JSON object a benchmark, instead of tables.
    #[arg(long)]
    json: bool,
    /// Another worker than the one of this build.
    #[arg(long)]
    worker: Option<PathBuf>,
    /// Serve a bare route on this port, and nothing else.
    #[arg(long, hide = true)]
    bare_route: Option<u16>,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    if let Some(port) = arguments.bare_route {
        route::serve(port).await;
        return;
    }
    let exe = std::env::current_exe().expect("the path of this program");
    let worker = arguments.worker.unwrap_or_else(|| exe.with_file_name("zhongkong-bench-worker"));
    let setup = Setup {
        worker,
        exe,
        smallest: arguments.smallest,
        runs: if arguments.smallest { 1 } else { arguments.runs },
        units: if arguments.smallest { 200 } else { arguments.units },
    };
    let chosen = if arguments.benchmarks.is_empty() {
        Benchmark::ALL.to_vec()
    } else {
        arguments.benchmarks
    };
    for benchmark in chosen {
        show::announce(benchmark, arguments.json);
        let report = benchmark.run(&setup).await;
        show::print(&report, arguments.json);
    }
}

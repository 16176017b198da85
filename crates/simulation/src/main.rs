//! Plays runs and says what was not allowed: `zhongkong-simulation --seeds 1000`, or the story of one.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;
use zhongkong_simulation::{Protocol, RunError, Verdict, simulate};

/// How many verdicts wait to be told.
const TOLD: usize = 64;

/// Plays simulated runs of a cluster, and says what was not allowed.
#[derive(Clone, Copy, Debug, Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Runs at once.
    #[arg(long, default_value_t = 2)]
    jobs: u64,
    /// Tell everything that happened.
    #[arg(long)]
    story: bool,
    /// A lock with fences instead of the whole protocol: what the checker has to find out.
    #[arg(long)]
    fences_only: bool,
}

/// What all runs came to.
#[derive(Debug, Default)]
struct Sum {
    runs: u64,
    bad: u64,
    lasted: Duration,
    faults: usize,
    calls: u64,
    records: usize,
}

fn main() -> ExitCode {
    match play(Arguments::parse(), &mut io::stdout().lock()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) | Err(_) => ExitCode::FAILURE,
    }
}

/// Plays them all. Returns how many were bad.
fn play(arguments: Arguments, out: &mut impl Write) -> io::Result<u64> {
    let Arguments { from, seeds, jobs, story, fences_only } = arguments;
    let protocol = if fences_only { Protocol::FencesOnly } else { Protocol::Whole };
    let next = &AtomicU64::new(from);
    let (sender, verdicts) = std::sync::mpsc::sync_channel::<Result<Verdict, RunError>>(TOLD);
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let sender = sender.clone();
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // Nobody listens any more: the output is closed.
                    if seed >= from + seeds || sender.send(simulate(seed, protocol)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut sum = Sum::default();
        for verdict in verdicts {
            let verdict = verdict.map_err(io::Error::other)?;
            sum.add(&verdict);
            if story {
                write!(out, "{}", verdict.journal())?;
            }
            if !verdict.violations.is_empty() {
                writeln!(out, "{verdict}")?;
            }
        }
        sum.tell(out)?;
        Ok(sum.bad)
    })
}

impl Sum {
    fn add(&mut self, verdict: &Verdict) {
        self.runs += 1;
        self.bad += u64::from(!verdict.violations.is_empty());
        self.lasted += verdict.lasted;
        self.faults += verdict.faults;
        self.calls += verdict.calls;
        self.records += verdict.history.records().len();
    }

    fn tell(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { runs, bad, lasted, faults, calls, records } = self;
        let hours = lasted.as_secs() / 3_600;
        writeln!(
            out,
            "{runs} runs, {hours} hours of a cluster's life, {faults} faults, {calls} calls to upstreams, \
             {records} records: {bad} runs had violations"
        )
    }
}

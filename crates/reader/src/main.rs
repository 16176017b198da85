//! A service that reads: it takes each token from Redis with a `GET`, calls the upstream with it, and counts what it
//! finds. It stands for the services of a cluster of containers, and says whether they would have been served.
//!
//! Modules in reading order:
//!
//! - [`place`]: where Redis is, be it that Sentinels say so.
//! - [`upstream`]: a call with the token.
//! - [`look`]: one look for one token.
//! - [`counts`]: what the looks came to.
//! - [`board`]: the counts in a file, for who asks from outside.

mod board;
mod counts;
mod look;
mod place;
mod upstream;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use futures_util::future::join_all;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::board::Board;
use crate::counts::Counts;
use crate::look::Look;
use crate::place::Place;
use crate::upstream::Upstream;

/// How often the counts are written for who asks.
const BOARD_EVERY: Duration = Duration::from_secs(1);
/// How often the counts are said.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Reads tokens as any service does, calls the upstream with them, and counts the dead and the absent ones.
#[derive(Debug, Parser)]
#[command(name = "zhongkong-reader", version)]
struct Arguments {
    /// Where the running reader keeps its counts
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/run/zhongkong-reader/counts"
    )]
    counts: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read until SIGTERM or SIGINT
    Run(Run),
    /// Print what the running reader counted; exit code 0 only if each of its last looks brought a token that works
    Counts,
}

#[derive(Debug, Args)]
struct Run {
    /// Redis: redis://host:6379/0 or redis+sentinel://host:26379,host:26379/name
    #[arg(long, value_name = "URL")]
    redis: Place,
    /// The upstream: http://host:port
    #[arg(long, value_name = "URL")]
    upstream: Upstream,
    /// A credential to read the token of; may be repeated
    #[arg(long = "id", required = true)]
    ids: Vec<String>,
    /// What every key begins with
    #[arg(long, default_value = "zhongkong")]
    prefix: String,
    /// How often a token is needed
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = humantime::parse_duration)]
    every: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { counts, command } = Arguments::parse();
    let ended = match command {
        Command::Run(wanted) => run(wanted, Board::new(counts)).await,
        Command::Counts => show(&counts),
    };
    ended.unwrap_or_else(|error| {
        writeln!(io::stderr(), "{error:#}").ok();
        ExitCode::FAILURE
    })
}

fn show(counts: &Path) -> anyhow::Result<ExitCode> {
    let lines = board::read(counts)?;
    say(lines.trim_end());
    let works = lines.lines().all(Counts::line_is_good);
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(wanted: Run, board: Board) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let Run { redis, upstream, ids, prefix, every } = wanted;
    let mut looks: Vec<Look> =
        ids.iter().map(|id| Look::new(id, &prefix, redis.clone(), upstream.clone())).collect();
    let [mut ticks, mut boards, mut sayings] =
        [every.max(Duration::from_millis(1)), BOARD_EVERY, SAY_EVERY].map(|period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
    // The counts are said for the first time when there is something to say.
    sayings.reset();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = ticks.tick() => {
                let news = join_all(looks.iter_mut().map(Look::look)).await;
                news.iter().flatten().for_each(|line| say(line));
            }
            _ = boards.tick() => board.write(&lines(&looks))?,
            _ = sayings.tick() => say(&lines(&looks)),
        }
    }
    let lines = lines(&looks);
    say(&lines);
    board.write(&lines)?;
    Ok(ExitCode::SUCCESS)
}

fn lines(looks: &[Look]) -> String {
    looks.iter().map(Look::counted).collect::<Vec<_>>().join("\n")
}

/// A line on standard output; nobody is left to tell if that is closed.
fn say(text: &str) {
    let mut output = io::stdout();
    writeln!(output, "{text}").and_then(|()| output.flush()).ok();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        Arguments::command().debug_assert();
    }
}

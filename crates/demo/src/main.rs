//! The main job, end to end, told as a story: a cluster keeps one token alive while workers die.
//!
//! Modules in reading order:
//!
//! - [`scenes`], [`outside`]: the story: what goes wrong inside of the cluster, and what comes from outside.
//! - [`herd`]: the five hundred readers of one scene.
//! - [`show`]: what a scene needs: the stage, the events, the reader, the accounts of each scene.
//! - [`verdict`], [`invitation`]: how it ends, or how it goes on with `--keep`.
//! - [`stage`], [`upstream`]: the processes: Redis, workers, the simulated upstream.
//! - [`journal`]: what really happened, by the upstream.
//! - [`events`]: what the workers do, as Redis tells it.
//! - [`reader`]: a service that uses the token.
//! - [`narrate`]: words on a terminal, or in a pipe.

#![expect(
    clippy::expect_used,
    reason = "a demo that cannot go on has nothing to recover; dropping the stage ends every process"
)]

mod events;
mod herd;
mod invitation;
mod journal;
mod narrate;
mod outside;
mod reader;
mod scenes;
mod show;
mod stage;
mod upstream;
mod verdict;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::narrate::Narrator;
use crate::show::Show;

/// Watch a cluster keep one token alive while workers die.
#[derive(Debug, Parser)]
#[command(name = "zhongkong-demo", version)]
struct Arguments {
    /// Leave everything running at the end, with things to try, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

// One thread: children that die with the thread that started them die with this process.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let narrator = Narrator::new();
    let mut stop = Stop::new().expect("signals can be listened to");
    let mut performance = Box::pin(perform(&narrator, arguments.keep));
    let (show, good) = tokio::select! {
        biased;
        () = stop.asked() => {
            drop(performance);
            narrator.say("Stopped, and all that was started with it.");
            return ExitCode::from(INTERRUPTED);
        }
        performed = &mut performance => match performed {
            Ok(performed) => performed,
            Err(error) => {
                narrator.bad(&format!("The demo could not begin: {error:#}"));
                return ExitCode::FAILURE;
            }
        },
    };
    if arguments.keep {
        stop.asked().await;
    }
    show.close(good).await;
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The whole show, up to its verdict: whether it went as promised.
async fn perform(narrator: &Narrator, keep: bool) -> anyhow::Result<(Show, bool)> {
    let mut show = Show::open(narrator.clone()).await?;
    let played = scenes::play(&mut show).await;
    let good = verdict::tell(&show, &played);
    if keep {
        invitation::tell(&show);
    }
    Ok((show, good))
}

/// The ways to be asked to stop: Ctrl-C, `kill`, a terminal that is closed.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

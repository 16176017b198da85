//! Herds of services with the SDKs that people run, with and without zhongkong.
//!
//! Each herd is a dozen processes of one real SDK that share a real Redis and call a simulated upstream, under its real
//! name and encrypted: nothing of an SDK is changed. The same herd runs twice. Once every process has the account's secret
//! and refreshes as its SDK does. Once workers keep the SDK's own keys current, and the services have a secret that opens
//! nothing. What is counted is what the upstream saw.
//!
//! Modules in reading order:
//!
//! - [`sdk`]: which SDKs, and how each is installed, started and told.
//! - [`stage`]: one run: upstream, Redis, workers if any, the herd.
//! - [`platform`]: the upstream under its real name, encrypted.
//! - [`count`]: what the upstream saw of a run.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "without its fixture there is nothing to count; what was started ends with this process"
)]

mod count;
mod platform;
mod sdk;
mod stage;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};

use crate::count::Count;
use crate::sdk::{SDKS, Sdk};
use crate::stage::Stage;

/// Herds of services with the SDKs that people run, with and without zhongkong.
#[derive(Debug, Parser)]
#[command(name = "zhongkong-sdks", version)]
struct Arguments {
    /// Only these SDKs; all of them if none is named.
    sdks: Vec<String>,
    /// Processes of a herd.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=100))]
    processes: u16,
    /// How long a herd runs, in seconds.
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u64).range(30..=600))]
    seconds: u64,
    /// Only one of the two runs.
    #[arg(long, value_enum)]
    only: Option<Side>,
    /// Where SDKs are installed.
    #[arg(long, default_value = "target/sdks")]
    folder: PathBuf,
}

/// Which of the two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Side {
    /// Beside zhongkong, where every count must be 0.
    With,
    /// On their own.
    Without,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let known = |name: &String| SDKS.iter().any(|sdk| sdk.name == name);
    if let Some(unknown) = arguments.sdks.iter().find(|name| !known(name)) {
        say(&format!("unknown SDK {unknown}; known: {}", SDKS.map(|sdk| sdk.name).join(", ")));
        return ExitCode::from(2);
    }
    let wanted = |sdk: &&Sdk| {
        arguments.sdks.is_empty() || arguments.sdks.iter().any(|name| name == sdk.name)
    };
    let exe = std::env::current_exe().expect("the path of this program");
    let stage = Stage {
        worker: exe.with_file_name("zhongkong-sdks-worker"),
        processes: arguments.processes,
        lasts: Duration::from_secs(arguments.seconds),
    };
    let mut table = table();
    let mut spoilt = Vec::new();
    for sdk in SDKS.iter().filter(wanted) {
        if let Err(missing) = sdk.is_possible() {
            say(&format!("SKIPPED: {}: {missing}", sdk.name));
            continue;
        }
        say(&format!("{}: installing", sdk.name));
        let home = sdk.install(&arguments.folder);
        let is_wanted = |side: Side| arguments.only.is_none_or(|only| only == side);
        let (mut without, mut with) = (None, None);
        if is_wanted(Side::Without) {
            say(&format!("{}: {} processes on their own", sdk.name, stage.processes));
            without = Some(stage.run(sdk, &home, None).await);
        }
        if is_wanted(Side::With) {
            say(&format!("{}: {} processes beside zhongkong", sdk.name, stage.processes));
            let count = stage.run(sdk, &home, Some(sdk.publish)).await;
            if !count.is_flawless() {
                spoilt.push(sdk.name);
            }
            with = Some(count);
        }
        table.add_row(row(sdk, without.as_ref(), with.as_ref()));
        say(&table.to_string());
    }
    if spoilt.is_empty() {
        return ExitCode::SUCCESS;
    }
    say(&format!("FAILED beside zhongkong: {}", spoilt.join(", ")));
    ExitCode::FAILURE
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "SDK",
        "Fetches by services",
        "At once",
        "Refused or failed calls",
        "Of",
        "Fetches, with zhongkong",
        "Refused or failed",
        "With an older token",
        "Of",
        "Refreshes by workers",
    ]);
    for column in 1..10 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn row(sdk: &Sdk, without: Option<&Count>, with: Option<&Count>) -> Vec<String> {
    let figure = |count: Option<&Count>, figure: fn(&Count) -> u64| {
        count.map_or_else(|| "–".to_owned(), |count| figure(count).to_string())
    };
    vec![
        sdk.title.to_owned(),
        figure(without, |count| count.fetches),
        figure(without, |count| count.at_once),
        figure(without, |count| count.refused + count.failed),
        figure(without, |count| count.calls),
        figure(with, |count| count.fetches),
        figure(with, |count| count.refused + count.failed),
        figure(with, |count| count.outdated),
        figure(with, |count| count.calls),
        figure(with, |count| count.refreshes),
    ]
}

fn say(text: &str) {
    // Whoever no longer reads it has gone away.
    drop(writeln!(std::io::stdout(), "{text}"));
}

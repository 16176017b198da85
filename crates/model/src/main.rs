//! Explores the cases, and prints what came of each.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use zhongkong_model::cases::{Case, Size, all};
use zhongkong_model::explore::{Outcome, explore};

/// Explores the refresh protocol's model, case by case.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    /// How much to explore: what runs with every change, or all of it.
    #[arg(long, value_enum, default_value_t = HowMuch::Small)]
    size: HowMuch,
    /// Explore only the cases of which the name contains this.
    #[arg(long)]
    case: Option<String>,
    /// Threads for the cases that hold; those that break use one, so that their stories are the shortest.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HowMuch {
    Small,
    Large,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let chosen = all().into_iter().filter(|case| {
        let named = args.case.as_ref().is_none_or(|name| case.name.contains(name.as_str()));
        named && (args.size == HowMuch::Large || case.size == Size::Small)
    });
    let (mut held, mut wrong) = (0, 0);
    for case in chosen {
        let threads = if case.broken.is_some() { 1 } else { args.threads };
        match explore(&case, threads) {
            Ok(outcome) => {
                held += if outcome.broken.is_none() { outcome.unique } else { 0 };
                wrong += u32::from(!show(&case, &outcome));
            }
            Err(error) => {
                wrong += 1;
                say(&format!("{}: {error}", case.name));
            }
        }
    }
    say(&format!("{held} unique states in which all holds; {wrong} cases are not as expected"));
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints one case; whether it came out as expected.
fn show(case: &Case, outcome: &Outcome) -> bool {
    let Outcome { unique, met, depth, took, broken, missing } = outcome;
    let verdict = broken.as_ref().map_or("holds", |_| "broken");
    say(&format!(
        "{:28} {unique:>10} unique {met:>11} met  depth {depth:>3}  {:>7.1} s  {verdict}",
        case.name,
        took.as_secs_f64(),
    ));
    say(&format!("    {}", case.about()));
    if let Some((promise, story)) = broken {
        say(&format!("    not so: {promise}\n    {story}"));
    }
    if !missing.is_empty() {
        say(&format!("    never happened: {}", missing.join("; ")));
    }
    let as_expected = match (case.broken, broken) {
        (None, None) => missing.is_empty(),
        (Some(promise), Some((name, _))) => promise.about() == name,
        _ => false,
    };
    if !as_expected {
        say("    NOT AS EXPECTED");
    }
    as_expected
}

#[expect(clippy::print_stdout, reason = "what a program for the terminal says")]
fn say(line: &str) {
    println!("{line}");
}

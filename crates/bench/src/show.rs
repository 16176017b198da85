//! Tables for people, JSON for programs.

use std::io::Write;

use comfy_table::{CellAlignment, Table, presets};

use crate::benchmarks::Benchmark;
use crate::figures::Report;

/// Says that `benchmark` has begun, since some take minutes.
pub(crate) fn announce(benchmark: Benchmark, json: bool) {
    if !json {
        say(&format!("\n{}: {}", benchmark.name(), benchmark.about()));
    }
}

/// Prints what a benchmark found.
pub(crate) fn print(report: &Report, json: bool) {
    if json {
        say(&serde_json::to_string(report).expect("figures are numbers"));
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "Measured",
        "Unit",
        "Median (min–max)",
        "Beside",
        "Median (min–max)",
        "Ratio",
    ]);
    for figure in &report.figures {
        table.add_row(figure.cells());
    }
    for column in [2, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    say(&report.what);
    say(&table.to_string());
    if cfg!(debug_assertions) {
        say("A build without optimizations: these figures mean nothing.");
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever closed the pipe wants to hear no more.
    writeln!(out, "{text}").and_then(|()| out.flush()).ok();
}

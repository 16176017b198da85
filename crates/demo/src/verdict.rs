//! How it ends: a table, and whether the reader was ever let down.
//!
//! A token that a scene kills from outside is dead before anybody inside can know; reads of it are told, and excused
//! until another is published. Every other dead or absent token is not.

use comfy_table::{CellAlignment, Table, presets};

use crate::reader::Counts;
use crate::show::Show;

/// Sums up; says whether all went as promised.
pub(crate) fn tell(show: &Show, played: &anyhow::Result<()>) -> bool {
    let Show { narrator, reader, stage, .. } = show;
    let counts = reader.counts();
    narrator.heading("What came of it");
    for line in table(show).lines() {
        narrator.verbatim(line);
    }
    narrator.verbatim("");
    let good = played.is_ok() && counts.are_good();
    if good {
        let Counts { reads, killed, .. } = counts;
        let failed = if killed == 0 {
            String::new()
        } else {
            format!(
                ", but for {killed} calls with a token that had been killed from outside, \
                 before that was found out"
            )
        };
        narrator.good(&format!(
            "Good: {reads} times the reader took the token from Redis and called the upstream \
             with it, and it worked every time{failed}."
        ));
        return true;
    }
    if let Err(error) = played {
        narrator.bad(&format!("Not good: a scene was not played to its end. {error:#}"));
    }
    let Counts { reads, dead, killed, absent, unanswered } = counts;
    let dead = dead - killed;
    if reads == 0 {
        narrator.bad("Not good: the reader never got a token.");
    } else if !counts.are_good() {
        narrator.bad(&format!(
            "Not good: of {reads} reads, {dead} brought a dead token without need, {absent} \
             none, and {unanswered} got no answer."
        ));
    }
    let directory = stage.directory().display();
    narrator.say(&format!(
        "What the workers said is in {directory}/worker-*.log, and their configuration beside it."
    ));
    false
}

fn table(show: &Show) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["scene", "reads", "dead", "absent", "upstream calls", "seconds"]);
    for (number, account) in show.accounts().iter().enumerate() {
        table.add_row([
            format!("{}. {}", number + 1, account.title),
            account.counts.reads.to_string(),
            account.counts.dead.to_string(),
            account.counts.absent.to_string(),
            account.calls.to_string(),
            format!("{:.1}", account.took.as_secs_f64()),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

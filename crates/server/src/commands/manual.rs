//! `completions` and `man`: the command line described for shells and for readers of manuals.

use std::path::Path;
use std::{fs, iter};

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::terminal::{Exit, answer};

/// Prints what makes `shell` complete `command`.
pub(crate) fn completions(mut command: Command, shell: Shell) -> Exit {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    answer(String::from_utf8_lossy(&script).trim_end());
    Exit::Done
}

/// Prints the page of `command` and those of its subcommands; or writes each to a file in `directory`.
pub(crate) fn pages(command: Command, directory: Option<&Path>) -> anyhow::Result<Exit> {
    let mut command = command.disable_help_subcommand(true);
    // Built first, so that a subcommand's page bears its whole name.
    command.build();
    let source = format!("zhongkong {}", env!("CARGO_PKG_VERSION"));
    let all = iter::once(&command).chain(command.get_subcommands());
    let pages = all.map(|command| Man::new(command.clone()).source(&source));
    if let Some(directory) = directory {
        let shown = || directory.display().to_string();
        fs::create_dir_all(directory).with_context(shown)?;
        for page in pages {
            page.generate_to(directory).with_context(shown)?;
        }
    } else {
        let mut text = Vec::new();
        for page in pages {
            page.render(&mut text)?;
        }
        answer(String::from_utf8_lossy(&text).trim_end());
    }
    Ok(Exit::Done)
}

//! Log lines on standard error: for people on a terminal, as JSON otherwise or on request.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

use crate::config::{Environment, LogConfig, LogFormat};

/// Begins to log. The libraries below never get louder than `info`: at `trace` some of them print what they send.
pub(crate) fn start(config: &LogConfig, environment: &Environment) -> Result<(), ParseError> {
    const QUIET: [&str; 6] =
        ["hyper=info", "hyper_util=info", "reqwest=info", "rustls=info", "h2=info", "mio=info"];
    let mut filter = EnvFilter::try_new(&config.filter)?;
    let loud = filter.max_level_hint().is_none_or(|level| level > LevelFilter::INFO);
    for directive in QUIET.into_iter().filter(|_| loud) {
        filter = filter.add_directive(directive.parse()?);
    }
    let terminal = io::stderr().is_terminal();
    let text = match config.format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if text {
        let colours = terminal && environment.get("NO_COLOR").is_none();
        builder.with_ansi(colours).with_target(false).init();
    } else {
        builder.json().flatten_event(true).with_target(false).init();
    }
    Ok(())
}

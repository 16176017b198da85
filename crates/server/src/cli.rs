//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use zhongkong_core::credential::{CredentialId, Kind};

use crate::commands::{check, get, status};
use crate::config::{Config, Environment, Loaded};
use crate::language::Language;
use crate::run;
use crate::terminal::{Exit, complain};

/// One token refresher for a whole cluster (中控服务器).
#[derive(Debug, Parser)]
#[command(
    name = "zhongkong",
    version,
    about = "One token refresher for a whole cluster (中控服务器)",
    arg_required_else_help = true
)]
struct Arguments {
    /// The configuration file [default: $ZHONGKONG_CONFIG, ./zhongkong.toml, /etc/zhongkong/zhongkong.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a worker
    Run,
    /// Print a token, alone
    Get {
        /// The credential
        id: CredentialId,
        /// Which of its tokens
        #[arg(default_value = "access_token")]
        kind: Kind,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show how the tokens are doing
    Status {
        /// Only this credential
        id: Option<CredentialId>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check configuration, Redis, clock and the way to the upstream
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The program. Usage errors end it with 2.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let environment = Environment::of_process();
    let loaded = match Config::load(arguments.config.as_deref(), &environment) {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(&error.to_string());
            return Exit::Configuration.into();
        }
    };
    if !matches!(arguments.command, Command::Run) {
        for warning in &loaded.warnings {
            complain(&format!("warning: {warning}"));
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return Exit::Failed.into();
        }
    };
    let ended = runtime.block_on(execute(arguments, loaded, environment));
    // A second signal ends at once, so nothing is waited for here.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            complain(&format!("{error:#}"));
            Exit::Failed.into()
        }
    }
}

async fn execute(
    arguments: Arguments,
    loaded: Loaded,
    environment: Environment,
) -> anyhow::Result<Exit> {
    let Loaded { config, .. } = &loaded;
    let language = Language::of(&environment);
    match arguments.command {
        Command::Run => run::run(arguments.config, loaded, environment).await,
        Command::Get { id, kind, json } => get::get(config, id, kind, json).await,
        Command::Status { id, json } => status::status(config, id, json, language).await,
        Command::Check { json } => check::check(&loaded, json, language).await,
    }
}

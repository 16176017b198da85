//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use zhongkong_core::credential::{CredentialId, Kind};

use crate::commands::{check, clear_quota, forget, get, pause, refresh, status, watch};
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
    /// Show what happens to the tokens, as it happens
    Watch {
        /// Only this credential
        id: Option<CredentialId>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Ask the workers for a refresh, if one is owed, and wait for it
    Refresh {
        /// The credential
        id: CredentialId,
        /// Which of its tokens
        #[arg(default_value = "access_token")]
        kind: Kind,
        /// Now, whatever the status
        #[arg(long)]
        force: bool,
        /// Have the token killed at once, without overlap; 15 times a day
        #[arg(long, conflicts_with = "force")]
        invalidate: bool,
        /// How long to wait for a worker
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
        wait: Duration,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Refresh a credential no more, whoever asks; for a migration
    Pause {
        /// The credential
        id: CredentialId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a pause
    Resume {
        /// The credential
        id: CredentialId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a credential's keys from Redis; asks first
    Forget {
        /// The credential
        id: CredentialId,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the platform clear a credential's daily quotas, ten times a month; asks first
    ClearQuota {
        /// The credential
        id: CredentialId,
        /// Do not ask
        #[arg(long)]
        yes: bool,
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
        Command::Watch { id, json } => watch::watch(config, id, json, language).await,
        Command::Refresh { id, kind, force, invalidate, wait, json } => {
            let wish = match (force, invalidate) {
                (_, true) => refresh::Wish::Invalidate,
                (true, false) => refresh::Wish::Force,
                (false, false) => refresh::Wish::IfOwed,
            };
            let options = refresh::Options { wish, wait, as_json: json };
            refresh::refresh(config, (id, kind), options, language).await
        }
        Command::Pause { id, json } => pause::pause(config, id, json, language).await,
        Command::Resume { id, json } => pause::resume(config, id, json, language).await,
        Command::Forget { id, yes, json } => forget::forget(config, id, yes, json, language).await,
        Command::ClearQuota { id, yes, json } => {
            clear_quota::clear_quota(config, id, yes, json, language).await
        }
    }
}

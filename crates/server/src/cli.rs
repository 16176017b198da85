//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use rustix::system::uname;
use zhongkong_core::credential::{CredentialId, Kind};
use zhongkong_redis::HISTORY_MAX;

use crate::commands::explain::CODES;
use crate::commands::{
    check, clear_quota, explain, forget, get, health, history, keys, manual, notify, pause,
    refresh, status, watch,
};
use crate::config::{Config, Environment, Loaded};
use crate::language::Language;
use crate::run;
use crate::terminal::{Exit, Paint, answer_is_lost, complain};

/// The longest name that the history keeps of those who ask.
const ASKER_MAX: usize = 128;

/// One token refresher for a whole cluster (中控服务器).
#[derive(Debug, Parser)]
#[command(
    name = "zhongkong",
    version,
    about = "One token refresher for a whole cluster (中控服务器)",
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 69 no valid token or Redis unreachable, 78 configuration",
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
    #[command(flatten)]
    Configured(Configured),
    /// Say whether the worker on this machine is ready, by its exit code: 0 if it is
    Health {
        /// How long to wait for its answer
        #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
        wait: Duration,
    },
    /// Say what an error code of the upstream means, and what a worker does about it
    Explain {
        /// The code, such as 40001
        #[arg(allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(CODES))]
        code: i64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what makes a shell complete these commands
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual pages, in roff
    Man {
        /// Write them into this directory instead, a file for each command
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// The commands that need a configuration.
#[derive(Debug, Subcommand)]
enum Configured {
    /// Run a worker
    Run,
    /// Print a token, alone
    Get {
        /// The credential
        id: CredentialId,
        /// Which of its tokens
        #[arg(default_value = "access_token", value_parser = kinds())]
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
    /// Show who refreshed a credential's tokens, why, and with which outcome
    History {
        /// The credential
        id: CredentialId,
        /// Only this one of its tokens
        kind: Option<Kind>,
        /// How many lines, the newest first; 200 are kept
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=HISTORY_MAX as i64))]
        limit: u16,
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
        #[arg(default_value = "access_token", value_parser = kinds())]
        kind: Kind,
        /// Now, whatever the status
        #[arg(long)]
        force: bool,
        /// Have the token killed at once, without overlap; 15 times a day
        #[arg(long, conflicts_with = "force")]
        invalidate: bool,
        /// How long to wait for a worker, beyond the time at which a refresh may run
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
    /// Send a test message to each receiver of notifications
    Notify {
        /// Only to this receiver
        #[arg(long, required = true, num_args = 0..=1, default_missing_value = "", value_name = "NAME")]
        test: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what readers may read in Redis, and how
    Keys {
        /// The credential
        id: CredentialId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The program. Usage errors end it with 2.
pub fn main() -> ExitCode {
    let Arguments { config, command } = Arguments::parse();
    let environment = Environment::of_process();
    let language = Language::of(&environment);
    let ended = match command {
        Command::Configured(command) => configured(config, command, environment, language),
        Command::Health { wait } => healthy(config.as_deref(), wait, &environment, language),
        Command::Explain { code, json } => explain::explain(code, json, language),
        Command::Completions { shell } => Ok(manual::completions(Arguments::command(), shell)),
        Command::Man { dir } => manual::pages(Arguments::command(), dir.as_deref()),
    };
    match ended {
        Ok(Exit::Done) if answer_is_lost() => Exit::Failed.into(),
        Ok(exit) => exit.into(),
        Err(error) => {
            complain(&format!("{error:#}"));
            Exit::Failed.into()
        }
    }
}

/// Needs of the configuration only where the worker listens: one that runs keeps the rest as it was when it started.
fn healthy(
    path: Option<&Path>,
    wait: Duration,
    environment: &Environment,
    language: Language,
) -> anyhow::Result<Exit> {
    match Config::listen(path, environment) {
        Ok(listen) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(health::health(listen, wait, language))
        }
        Err(error) => {
            complain(&error.to_string());
            Ok(Exit::Configuration)
        }
    }
}

fn configured(
    path: Option<PathBuf>,
    command: Configured,
    environment: Environment,
    language: Language,
) -> anyhow::Result<Exit> {
    let loaded = match (Config::load(path.as_deref(), &environment), &command) {
        (Ok(loaded), _) => loaded,
        (Err(error), Configured::Check { json }) => {
            return check::refused(&error, *json, Paint::of(&environment), language);
        }
        (Err(error), _) => {
            complain(&error.to_string());
            return Ok(Exit::Configuration);
        }
    };
    // A worker logs them, a check has them among its findings, and other answers they would only bury.
    if matches!(command, Configured::Status { .. }) {
        for warning in &loaded.warnings {
            complain(&format!("warning: {warning}"));
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(execute(path, command, loaded, environment, language));
    // A second signal ends at once, so nothing is waited for here.
    runtime.shutdown_background();
    ended
}

async fn execute(
    path: Option<PathBuf>,
    command: Configured,
    loaded: Loaded,
    environment: Environment,
    language: Language,
) -> anyhow::Result<Exit> {
    let Loaded { config, .. } = &loaded;
    let by = &asker(&environment);
    match command {
        Configured::Run => run::run(path, loaded, environment).await,
        Configured::Get { id, kind, json } => get::get(config, id, kind, json, language).await,
        Configured::Status { id, json } => status::status(config, id, json, language).await,
        Configured::Check { json } => {
            check::check(&loaded, json, Paint::of(&environment), language).await
        }
        Configured::Notify { test, json } => {
            let name = Some(test.as_str()).filter(|name| !name.is_empty());
            notify::test(config, name, json, Paint::of(&environment), language).await
        }
        Configured::History { id, kind, limit, json } => {
            history::history(config, (id, kind), limit.into(), json, language).await
        }
        Configured::Keys { id, json } => keys::keys(config, &id, json, language),
        Configured::Watch { id, json } => watch::watch(config, id, json, language).await,
        Configured::Refresh { id, kind, force, invalidate, wait, json } => {
            let wish = match (force, invalidate) {
                (_, true) => refresh::Wish::Invalidate,
                (true, false) => refresh::Wish::Force,
                (false, false) => refresh::Wish::IfOwed,
            };
            let options = refresh::Options { wish, wait, as_json: json };
            refresh::refresh(config, (id, kind), options, by, language).await
        }
        Configured::Pause { id, json } => pause::pause(config, id, by, json, language).await,
        Configured::Resume { id, json } => pause::resume(config, id, by, json, language).await,
        Configured::Forget { id, yes, json } => {
            forget::forget(config, id, yes, json, language).await
        }
        Configured::ClearQuota { id, yes, json } => {
            clear_quota::clear_quota(config, id, by, yes, json, language).await
        }
    }
}

/// Who types commands, and where: what the history says of those who ask for a refresh or a pause.
fn asker(environment: &Environment) -> String {
    let name = ["USER", "LOGNAME"].into_iter().find_map(|name| environment.get(name));
    let host = uname();
    let asker = format!("{}@{}", name.unwrap_or("cli"), host.nodename().to_string_lossy());
    asker.chars().filter(|c| !c.is_control()).take(ASKER_MAX).collect()
}

/// The kinds, by name: shells complete them, and a wrong one names the nearest.
fn kinds() -> impl TypedValueParser<Value = Kind> {
    let names = PossibleValuesParser::new(Kind::ALL.map(Kind::as_str));
    names.try_map(|name| name.parse::<Kind>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_known_and_completed_and_none_else() {
        let parse = |kind| Arguments::try_parse_from(["zhongkong", "get", "wx1", kind]);
        assert!(Kind::ALL.iter().all(|kind| parse(kind.as_str()).is_ok()));
        let error = parse("jsapi").unwrap_err().to_string();
        assert!(error.contains("jsapi_ticket") && error.contains("wx_card_ticket"), "{error}");
    }

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_negative_code_is_a_code_and_no_option() {
        let parsed = Arguments::try_parse_from(["zhongkong", "explain", "-1", "--json"]).unwrap();
        assert!(matches!(parsed.command, Command::Explain { code: -1, json: true }));
        assert!(Arguments::try_parse_from(["zhongkong", "explain", "1000000000"]).is_err());
    }
}

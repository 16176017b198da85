//! The simulator as a process of its own, ordered about over `/_simulator`.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use zhongkong_simulator::{Account, ContentType, Settings, Simulator, health};

/// WeChat's token endpoints, simulated, with faults on demand.
#[derive(Debug, Parser)]
#[command(name = "zhongkong-simulator", version)]
struct Arguments {
    /// Where to listen; port 0 takes a free one, and the line on standard output says which.
    #[arg(long, default_value = "127.0.0.1:8630")]
    listen: SocketAddr,
    /// Ask the simulator that listens there whether it answers, and end: with exit code 0 if it does.
    #[arg(long)]
    health: bool,
    /// How long a token lives.
    #[arg(long, default_value = "2h", value_parser = humantime::parse_duration)]
    life: Duration,
    /// How long the previous token stays usable.
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration)]
    overlap: Duration,
    /// Let only the newest two legacy tokens live.
    #[arg(long)]
    newest_two_only: bool,
    /// An account, as `app_id:secret` or `app_id:secret:ip,ip`; may be repeated.
    #[arg(long = "account", value_parser = parse_account)]
    accounts: Vec<Account>,
    /// Accept any app_id with any secret.
    #[arg(long)]
    open: bool,
    /// Legacy calls a day.
    #[arg(long, default_value_t = Settings::default().daily_limit)]
    daily_limit: u32,
    /// Characters of a token.
    #[arg(long, default_value_t = Settings::default().token_length)]
    token_length: usize,
    /// The content type of answers: json, plain or alternate.
    #[arg(long, default_value = "alternate", value_parser = parse_content_type)]
    content_type: ContentType,
}

impl Arguments {
    fn settings(&self) -> Settings {
        Settings {
            life: self.life,
            overlap: self.overlap,
            newest_two_only: self.newest_two_only,
            accounts: self.accounts.clone(),
            open: self.open,
            daily_limit: self.daily_limit,
            token_length: self.token_length,
            content_type: self.content_type,
            ..Settings::default()
        }
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    if arguments.health {
        return health(arguments.listen).await;
    }
    // Asked for before the port is open: a signal right after the line must not kill the process.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(arguments.listen).await?;
    let simulator = Simulator::start_on(listener, arguments.settings())?;
    writeln!(io::stdout(), "listening on {}", simulator.url())?;
    io::stdout().flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    simulator.stop().await;
    Ok(())
}

fn parse_account(text: &str) -> Result<Account, String> {
    let mut parts = text.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(app_id), Some(secret), addresses) if !app_id.is_empty() && !secret.is_empty() => {
            let whitelist = addresses.map(parse_addresses).transpose()?;
            Ok(Account { whitelist, ..Account::new(app_id, secret) })
        }
        _ => Err("expected app_id:secret or app_id:secret:ip,ip".to_owned()),
    }
}

fn parse_addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    let parse = |address: &str| address.parse().map_err(|_| format!("no address: {address}"));
    text.split(',').map(parse).collect()
}

fn parse_content_type(text: &str) -> Result<ContentType, String> {
    match text {
        "json" => Ok(ContentType::Json),
        "plain" => Ok(ContentType::Plain),
        "alternate" => Ok(ContentType::Alternate),
        _ => Err("expected json, plain or alternate".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_may_name_its_addresses() {
        let account = parse_account("wx1:hush").unwrap();
        assert_eq!((account.app_id.as_str(), account.secret.as_str()), ("wx1", "hush"));
        assert_eq!(account.whitelist, None);
        let account = parse_account("wx1:hush:10.0.0.7,::1").unwrap();
        assert_eq!(account.whitelist.map(|list| list.len()), Some(2));
        assert!(parse_account("wx1").is_err());
        assert!(parse_account("wx1:hush:nowhere").is_err());
    }
}

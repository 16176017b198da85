//! A service that calls the upstream once a second with the token that is current.
//!
//! `cargo run -p zhongkong-client --example reader -- redis://127.0.0.1:6379 wx0123456789abcdef`

#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::error::Error;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use zhongkong_client::{Client, Reader, Token};

/// The longest wait for a token at the start, and for a newer one after a rejection.
const WAIT: Duration = Duration::from_secs(10);

/// What the upstream said to a call.
enum Answer {
    Done,
    /// 40001, 40014 or 42001.
    Rejected,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let id = arguments.next().unwrap_or_else(|| "wx0123456789abcdef".to_owned());

    let reader = Client::builder(&url).start()?.access_token(&id)?;
    reader.ready(WAIT).await?;
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => match call(&reader).await {
                Ok(()) => {}
                Err(error) => println!("no call was made: {error}"),
            },
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

/// One call, repeated once if its token was rejected.
async fn call(reader: &Reader) -> Result<(), Box<dyn Error>> {
    let token = reader.current()?;
    println!("{} of age {:?}, {:?} left", token.fingerprint(), token.age(), token.expires_in());
    if let Answer::Rejected = send(&token) {
        let newer = reader.rejected(&token, WAIT).await?;
        if let Answer::Rejected = send(&newer) {
            return Err("the newer token was rejected as well".into());
        }
    }
    Ok(())
}

/// Here the service would send its request, with `access_token` = [`Token::expose`].
fn send(token: &Token) -> Answer {
    if token.expose().is_empty() { Answer::Rejected } else { Answer::Done }
}

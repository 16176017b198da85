//! One call for each line of input; what happened is printed.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "the test speaks to it so")]

use std::env::var;

use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use zhongkong_testkit::http;

include!(concat!(env!("OUT_DIR"), "/guide.rs"));

async fn request(token: &str) -> Result<i64, Box<dyn Error>> {
    let url = var("SIMULATOR_URL")? + "/cgi-bin/get_api_domain_ip?access_token=" + token;
    let errcode = http::get(&url).await?.json()["errcode"].as_i64().unwrap_or(0);
    match errcode {
        0 => println!("accepted {token}"),
        errcode => println!("{errcode} {token}"),
    }
    Ok(errcode)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let reader = reader(&var("REDIS_URL")?, &var("CREDENTIAL_ID")?).await?;
    let mut input = BufReader::new(stdin()).lines();
    while input.next_line().await?.is_some() {
        match call(&reader, request).await {
            Ok(_) => println!("done"),
            Err(error) => println!("failed: {error}"),
        }
    }
    Ok(())
}

//! The binary: it says where it listens, serves, and ends in order.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::client::{LEGACY, receive, send};
use crate::within;

fn binary(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_zhongkong-simulator"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts")
}

#[tokio::test]
async fn the_binary_says_where_it_listens_and_ends_in_order() {
    let mut child = binary(&["--listen", "127.0.0.1:0", "--account", "wx1:hush", "--life", "1h"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = within(lines.next_line()).await.unwrap().unwrap();
    let address = line.strip_prefix("listening on http://").unwrap().parse().unwrap();
    let answer = receive(send(address, "GET", LEGACY, "").await.unwrap()).await.unwrap();
    assert_eq!(answer.json()["expires_in"], 3_600);
    let listen = address.to_string();
    let mut asking = binary(&["--listen", &listen, "--health"]);
    assert_eq!(within(asking.wait()).await.unwrap().code(), Some(0));
    let id = child.id().unwrap().to_string();
    let killed = Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
    assert!(killed.success());
    assert_eq!(within(child.wait()).await.unwrap().code(), Some(0));
    let mut asking = binary(&["--listen", &listen, "--health"]);
    assert_eq!(within(asking.wait()).await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn contradictory_arguments_do_not_start() {
    let mut child = binary(&["--listen", "127.0.0.1:0", "--life", "1m", "--overlap", "5m"]);
    assert_eq!(within(child.wait()).await.unwrap().code(), Some(1));
    let mut child = binary(&["--account", "nonsense"]);
    assert_eq!(within(child.wait()).await.unwrap().code(), Some(2));
}

//! Whether a simulator answers: for the health check of its container, which has no other program to ask with.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest wait for the answer.
const WITHIN: Duration = Duration::from_secs(2);
/// A question that changes nothing. As HTTP/1.0: the answer then ends with the connection.
const QUESTION: &[u8] = b"GET /_simulator/faults HTTP/1.0\r\n\r\n";
/// How an answer begins that is one.
const GOOD: [&[u8]; 2] = [b"HTTP/1.0 200 ", b"HTTP/1.1 200 "];

/// Asks the simulator that listens at `listen`.
///
/// # Errors
/// Nobody listens there, or the answer is another one, or takes more than two seconds.
pub async fn health(listen: SocketAddr) -> io::Result<()> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let asked = timeout(WITHIN, ask(SocketAddr::new(ip, listen.port()))).await;
    let start = asked.map_err(|_| ErrorKind::TimedOut)??;
    if GOOD.contains(&start.as_slice()) { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
}

/// How its answer begins.
async fn ask(address: SocketAddr) -> io::Result<[u8; GOOD[0].len()]> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(QUESTION).await?;
    let mut start = [0; GOOD[0].len()];
    stream.read_exact(&mut start).await?;
    Ok(start)
}

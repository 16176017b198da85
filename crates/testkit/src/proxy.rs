//! A way between two parts of a cluster that can be cut, silenced, held and slowed, each direction for itself.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::ports::free_port;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From whoever connects, a worker, to the server.
    There,
    /// From the server back.
    Back,
}

/// What becomes of bytes on one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flow {
    #[default]
    Pass,
    /// Each chunk comes so much later.
    Slow(Duration),
    /// They are kept, and delivered when this ends: also if whoever sent them is gone by then.
    Hold,
    /// They are lost, and whoever sent them is not told. Nothing that follows on that connection arrives any more.
    Lose,
}

#[derive(Clone, Debug)]
struct Orders {
    server: SocketAddr,
    there: Flow,
    back: Flow,
    /// New connections are closed at once.
    refuse: bool,
    /// Counts cuts: a connection that is older than the last one is reset.
    cuts: u64,
}

/// The proxy. All connections through it end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Orders>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// A way to a port of this machine, on a port of its own.
    pub async fn to(port: u16) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, port).await
    }

    /// The same, reached at another address of this machine.
    pub async fn at(address: Ipv4Addr, port: u16) -> Self {
        let address = SocketAddr::V4(SocketAddrV4::new(address, free_port()));
        let listener = TcpListener::bind(address).await.unwrap();
        let server = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        let (there, back) = (Flow::Pass, Flow::Pass);
        let (orders, taken) =
            watch::channel(Orders { server, there, back, refuse: false, cuts: 0 });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, taken));
        Self { address, orders, _accepting: accepting }
    }

    /// Where it is reached.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.address.port()
    }
}

/// What can go wrong.
impl Proxy {
    /// Resets all connections; new ones are made at once.
    pub fn cut(&self) {
        self.orders.send_modify(|orders| orders.cuts += 1);
    }

    /// Resets all connections, and refuses new ones until [`Self::heal`].
    pub fn refuse(&self) {
        self.orders.send_modify(|orders| (orders.cuts, orders.refuse) = (orders.cuts + 1, true));
    }

    /// What is sent this way is lost until [`Self::heal`], without a sign.
    pub fn lose(&self, way: Way) {
        self.set(way, Flow::Lose);
    }

    /// What is sent this way is kept until [`Self::heal`], and then delivered.
    pub fn hold(&self, way: Way) {
        self.set(way, Flow::Hold);
    }

    /// What is sent this way comes so much later.
    pub fn slow(&self, way: Way, by: Duration) {
        self.set(way, Flow::Slow(by));
    }

    /// Everything passes again. Connections that lost something stay lost.
    pub fn heal(&self) {
        self.orders.send_modify(|orders| {
            (orders.there, orders.back, orders.refuse) = (Flow::Pass, Flow::Pass, false);
        });
    }

    /// New connections lead to another port of this machine.
    pub fn lead_to(&self, port: u16) {
        self.orders.send_modify(|orders| orders.server.set_port(port));
    }

    fn set(&self, way: Way, flow: Flow) {
        self.orders.send_modify(|orders| match way {
            Way::There => orders.there = flow,
            Way::Back => orders.back = flow,
        });
    }
}

async fn accept(listener: TcpListener, orders: watch::Receiver<Orders>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let now = orders.borrow().clone();
                if now.refuse {
                    drop(client.set_zero_linger());
                } else {
                    connections.spawn(carry(client, now, orders.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries one connection to its end, or to the next cut.
async fn carry(mut client: TcpStream, begun: Orders, mut orders: watch::Receiver<Orders>) {
    let Ok(mut server) = TcpStream::connect(begun.server).await else {
        drop(client.set_zero_linger());
        return;
    };
    for stream in [&client, &server] {
        // Small commands must not wait for more.
        drop(stream.set_nodelay(true));
    }
    let is_cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let there = pump(from_client, to_server, orders.clone(), |orders| orders.there);
        let back = pump(from_server, to_client, orders.clone(), |orders| orders.back);
        tokio::select! {
            _ = orders.wait_for(|orders| orders.cuts > begun.cuts) => true,
            _ = async { tokio::join!(there, back) } => false,
        }
    };
    if is_cut {
        drop(client.set_zero_linger());
        drop(server.set_zero_linger());
    }
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut orders: watch::Receiver<Orders>,
    flow: fn(&Orders) -> Flow,
) {
    let mut is_lost = false;
    let mut bytes = vec![0; 16 * 1024];
    loop {
        // A reset is passed on as an end: what came before it was delivered.
        let read = from.read(&mut bytes).await.unwrap_or(0);
        let passes = orders.wait_for(|orders| flow(orders) != Flow::Hold).await;
        let Ok(now) = passes.map(|orders| flow(&orders)) else { return };
        match now {
            Flow::Slow(by) => sleep(by).await,
            Flow::Lose => is_lost = true,
            Flow::Pass | Flow::Hold => {}
        }
        if is_lost {
            if read == 0 {
                // Nor does the other side learn of the end: it waits until the cut.
                return std::future::pending().await;
            }
            continue;
        }
        if read == 0 {
            drop(to.shutdown().await);
            return;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::wait::holds_within;
    use crate::{PATIENCE, RedisServer};

    const SOON: Duration = Duration::from_millis(300);

    /// A Redis, and the way to it.
    async fn scene() -> (RedisServer, Proxy) {
        let redis = RedisServer::start().await;
        let proxy = Proxy::to(redis.port()).await;
        (redis, proxy)
    }

    async fn connect(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(proxy.address()).await.unwrap()
    }

    async fn ask(stream: &mut TcpStream) {
        stream.write_all(b"PING\r\n").await.unwrap();
    }

    async fn answer(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
        let mut answer = vec![0; 7];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    async fn answer_soon(stream: &mut TcpStream) -> Option<io::Result<Vec<u8>>> {
        tokio::time::timeout(SOON, answer(stream)).await.ok()
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_until_a_cut_resets_the_connection() {
        let (_redis, proxy) = scene().await;
        let mut stream = connect(&proxy).await;
        ask(&mut stream).await;
        assert_eq!(answer(&mut stream).await.unwrap(), b"+PONG\r\n");
        proxy.cut();
        let error = answer(&mut stream).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let mut again = connect(&proxy).await;
        ask(&mut again).await;
        assert_eq!(answer(&mut again).await.unwrap(), b"+PONG\r\n");
        proxy.refuse();
        let mut refused = connect(&proxy).await;
        assert!(answer(&mut refused).await.is_err());
    }

    #[tokio::test]
    async fn held_bytes_arrive_later_even_if_their_sender_is_gone() {
        let (redis, proxy) = scene().await;
        let calls = async || redis.calls_of("echo").await;
        proxy.hold(Way::There);
        let mut stream = connect(&proxy).await;
        stream.write_all(b"ECHO a\r\n").await.unwrap();
        drop(stream);
        assert!(!holds_within(SOON, async || calls().await > 0).await);
        proxy.heal();
        assert!(holds_within(PATIENCE, async || calls().await > 0).await);
    }

    #[tokio::test]
    async fn an_answer_is_held_although_the_question_arrives() {
        let (redis, proxy) = scene().await;
        let mut stream = connect(&proxy).await;
        proxy.hold(Way::Back);
        stream.write_all(b"SET key value\r\n").await.unwrap();
        let arrived = async || redis.calls_of("set").await == 1;
        assert!(holds_within(PATIENCE, arrived).await);
        assert!(answer_soon(&mut stream).await.is_none());
        proxy.heal();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"+OK\r\n");
    }

    #[tokio::test]
    async fn lost_bytes_never_arrive_and_a_new_connection_does() {
        let (_redis, proxy) = scene().await;
        let mut stream = connect(&proxy).await;
        proxy.lose(Way::There);
        ask(&mut stream).await;
        assert!(answer_soon(&mut stream).await.is_none());
        proxy.heal();
        ask(&mut stream).await;
        assert!(answer_soon(&mut stream).await.is_none(), "a connection with a gap");
        let mut again = connect(&proxy).await;
        ask(&mut again).await;
        assert_eq!(answer(&mut again).await.unwrap(), b"+PONG\r\n");
    }

    #[tokio::test]
    async fn slow_bytes_come_later() {
        let (_redis, proxy) = scene().await;
        let mut stream = connect(&proxy).await;
        proxy.slow(Way::Back, SOON * 2);
        ask(&mut stream).await;
        assert!(answer_soon(&mut stream).await.is_none());
        assert_eq!(answer(&mut stream).await.unwrap(), b"+PONG\r\n");
    }

    #[tokio::test]
    async fn a_way_can_lead_to_another_server() {
        let (redis, proxy) = scene().await;
        let other = RedisServer::start().await;
        let () = other.command(&["SET", "who", "other"]).await;
        proxy.lead_to(other.port());
        let url = format!("redis://{}", proxy.address());
        let client = redis::Client::open(url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let who: String = redis::cmd("GET").arg("who").query_async(&mut connection).await.unwrap();
        assert_eq!(who, "other");
        drop(redis);
    }
}

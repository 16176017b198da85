//! Where a connection leads: found out anew whenever one is made, and left by all of them at once.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, Value};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::link::{CONNECT_TIMEOUT, describe};
use crate::sentinel::Sentinels;
use crate::settings::{Access, RedisAddress};
use crate::tls;

/// How often Sentinels are asked whether connections still lead to the primary: also an old primary that is cut off from
/// them, and knows nothing of another one, is to be left.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// What connections lead to.
#[derive(Debug)]
pub(crate) struct Place {
    access: Arc<Access>,
    way: Way,
    /// Counts how often it was left.
    moves: watch::Sender<u64>,
}

#[derive(Debug)]
enum Way {
    /// Always the same server.
    Server(RedisAddress),
    /// Likewise, one of the Sentinels.
    Sentinel(RedisAddress),
    /// The primary that they name.
    Named(Sentinels),
}

/// A connection, and how often the place had been left when it was made.
pub(crate) type Made = (MultiplexedConnection, u64);

impl Place {
    pub(crate) fn server(access: Arc<Access>, address: RedisAddress) -> Self {
        Self::new(access, Way::Server(address))
    }

    pub(crate) fn sentinel(access: Arc<Access>, address: RedisAddress) -> Self {
        Self::new(access, Way::Sentinel(address))
    }

    pub(crate) fn named(access: Arc<Access>, by: Sentinels) -> Self {
        Self::new(access, Way::Named(by))
    }

    fn new(access: Arc<Access>, way: Way) -> Self {
        Self { access, way, moves: watch::Sender::new(0) }
    }

    /// A new connection; else why there is none, in words for people.
    pub(crate) async fn connect(&self, config: &AsyncConnectionConfig) -> Result<Made, String> {
        let (address, moves) = match &self.way {
            Way::Server(address) | Way::Sentinel(address) => (address.clone(), self.moves()),
            Way::Named(by) => self.follow_to(by).await?,
        };
        let mut connection = self.connect_to(&address, config).await?;
        if matches!(self.way, Way::Named(_)) {
            let checked = timeout(CONNECT_TIMEOUT, is_primary(&mut connection)).await;
            let checked = checked.unwrap_or_else(|_| Err("it does not tell its role".to_owned()));
            checked.map_err(|why| format!("{address}: {why}"))?;
        }
        Ok((connection, moves))
    }

    /// How often it was left: connections that were made before the last time are of no use.
    pub(crate) fn moves(&self) -> u64 {
        *self.moves.borrow()
    }

    /// Waits until a connection that was made after so many moves is to be left.
    pub(crate) async fn left(&self, moves: u64) {
        // The sender lives as long as `self`.
        self.moves.subscribe().wait_for(|now| *now != moves).await.ok();
    }

    /// All connections are to leave, unless they did since the one was made that found this.
    pub(crate) fn leave(&self, moves: u64) {
        self.moves.send_if_modified(|now| {
            let stands = *now == moves;
            *now += u64::from(stands);
            stands
        });
    }

    /// Sees to it, without end, that connections lead to the primary that Sentinels name.
    pub(crate) async fn follow(&self) {
        let Way::Named(by) = &self.way else { return std::future::pending().await };
        loop {
            sleep(LOOK_EVERY).await;
            // While nobody answers, connections stay where they are.
            self.follow_to(by).await.ok();
        }
    }

    /// The Sentinels, if it is them that name the primary.
    pub(crate) const fn sentinels(&self) -> Option<&Sentinels> {
        match &self.way {
            Way::Named(by) => Some(by),
            Way::Server(_) | Way::Sentinel(_) => None,
        }
    }

    /// The primary, and how often the place had been left when it was named; if it is another one than before, all connections
    /// leave.
    async fn follow_to(&self, by: &Sentinels) -> Result<(RedisAddress, u64), String> {
        // Looked at first: who is told of the old primary while others learn of a new one must leave with the rest.
        let mut moves = self.moves();
        let named = by.primary().await?;
        if named.is_news {
            self.moves.send_modify(|now| {
                *now += 1;
                moves = *now;
            });
            tracing::warn!(primary = %named.address, "the sentinels name another primary");
        }
        Ok((named.address, moves))
    }

    async fn connect_to(
        &self,
        address: &RedisAddress,
        config: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, String> {
        let client = if self.access.tls.is_some() {
            let (access, address) = (Arc::clone(&self.access), address.clone());
            // Files are read.
            let client = spawn_blocking(move || access.client(&address)).await;
            client.map_err(|error| error.to_string())?
        } else {
            self.access.client(address)
        };
        let client = client.map_err(|why| format!("{address}: {why}"))?;
        let connection = client.get_multiplexed_async_connection_with_config(config).await;
        connection.map_err(|error| self.unreachable(address, &error))
    }

    /// Why there is no connection: where to, and whether it is the login or the encryption.
    fn unreachable(&self, address: &RedisAddress, error: &RedisError) -> String {
        let why = describe(error);
        let login = ["NOAUTH", "WRONGPASS"].iter().any(|code| why.contains(code))
            || error.kind() == ErrorKind::AuthenticationFailed;
        if login {
            let of = if matches!(self.way, Way::Sentinel(_)) { "sentinel_" } else { "" };
            return format!(
                "{address} refuses the login: set redis.{of}username and redis.{of}password"
            );
        }
        let encryption = match address {
            RedisAddress::Tcp(host, _) => tls::explain(error, host, self.access.tls.as_ref()),
            RedisAddress::Unix(_) => None,
        };
        format!("{address}: {}", encryption.unwrap_or(why))
    }
}

/// Whether the server at the other end takes itself for a primary; else what it is.
async fn is_primary(connection: &mut MultiplexedConnection) -> Result<(), String> {
    let role: Vec<Value> = redis::cmd("ROLE")
        .query_async(connection)
        .await
        .map_err(|error| format!("{}; the worker's user needs +role", describe(&error)))?;
    let role: Option<String> =
        role.into_iter().next().and_then(|role| redis::from_redis_value(role).ok());
    match role.as_deref() {
        Some("master") => Ok(()),
        _ => Err("the sentinels name it, but it is a replica; a failover may be under way".into()),
    }
}

//! Where a connection leads: found out anew whenever one is made.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError};
use tokio::task::spawn_blocking;

use crate::link::describe;
use crate::settings::{Access, RedisAddress};
use crate::tls;

/// What a connection leads to.
#[derive(Debug)]
pub(crate) enum Place {
    /// Always the same server.
    Server(Arc<Access>, RedisAddress),
}

impl Place {
    /// A new connection; else why there is none, in words for people.
    pub(crate) async fn connect(
        &self,
        config: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, String> {
        match self {
            Self::Server(access, address) => connect(access, address, config).await,
        }
    }
}

/// A new connection to one server; else why there is none.
pub(crate) async fn connect(
    access: &Arc<Access>,
    address: &RedisAddress,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, String> {
    let client = if access.tls.is_some() {
        let (access, address) = (Arc::clone(access), address.clone());
        // Files are read.
        let client = spawn_blocking(move || access.client(&address)).await;
        client.map_err(|error| error.to_string())?
    } else {
        access.client(address)
    };
    let client = client.map_err(|why| format!("{address}: {why}"))?;
    let connection = client.get_multiplexed_async_connection_with_config(config).await;
    connection.map_err(|error| unreachable(access, address, &error))
}

/// Why there is no connection: where to, and whether it is the login or the encryption.
fn unreachable(access: &Access, address: &RedisAddress, error: &RedisError) -> String {
    let why = describe(error);
    let login = ["NOAUTH", "WRONGPASS"].iter().any(|code| why.contains(code))
        || error.kind() == ErrorKind::AuthenticationFailed;
    if login {
        return format!("{address} refuses the login: set redis.username and redis.password");
    }
    let encryption = match address {
        RedisAddress::Tcp(host, _) => tls::explain(error, host, access.tls.as_ref()),
        RedisAddress::Unix(_) => None,
    };
    format!("{address}: {}", encryption.unwrap_or(why))
}

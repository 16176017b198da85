//! Where a connection leads: found out anew whenever one is made.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError};

use crate::link::describe;

/// What a connection leads to.
#[derive(Debug)]
pub(crate) enum Place {
    /// Always the same server.
    Server(Client),
}

impl Place {
    /// A new connection; else why there is none, in words for people.
    pub(crate) async fn connect(
        &self,
        config: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, String> {
        match self {
            Self::Server(client) => connect(client, config).await,
        }
    }
}

async fn connect(
    client: &Client,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, String> {
    let connection = client.get_multiplexed_async_connection_with_config(config).await;
    connection.map_err(|error| unreachable(client, &error))
}

/// Why there is no connection: where to, and whether it is the login.
fn unreachable(client: &Client, error: &RedisError) -> String {
    let (address, why) = (client.get_connection_info().addr(), describe(error));
    let login = ["NOAUTH", "WRONGPASS"].iter().any(|code| why.contains(code))
        || error.kind() == ErrorKind::AuthenticationFailed;
    if login {
        format!("{address} refuses the login: set redis.username and redis.password")
    } else {
        format!("{address}: {why}")
    }
}

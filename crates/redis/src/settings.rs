//! Where Redis is, and how to log in there.

use std::path::PathBuf;

use redis::{
    Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisResult,
};
use secrecy::{ExposeSecret, SecretString};
use zhongkong_core::ports::StoreError;

use crate::link::describe;

/// Where one server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisAddress {
    /// A host and a port.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

/// What kind of Redis this is, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// One server, always the same.
    Server(RedisAddress),
}

/// How to reach Redis.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Where it is.
    pub deployment: Deployment,
    /// The database's number.
    pub database: u16,
    /// The user, where one is named.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<SecretString>,
}

impl RedisSettings {
    /// A client of the server at `address`; nothing is connected yet.
    pub(crate) fn client(&self, address: &RedisAddress) -> Result<Client, StoreError> {
        let address = match address {
            RedisAddress::Tcp(host, port) => redis::ConnectionAddr::Tcp(host.clone(), *port),
            RedisAddress::Unix(path) => redis::ConnectionAddr::Unix(path.clone()),
        };
        let info: RedisResult<ConnectionInfo> = address.into_connection_info();
        let client = info.and_then(|info| Client::open(info.set_redis_settings(self.login())));
        client.map_err(|error| StoreError::Refused(describe(&error)))
    }

    fn login(&self) -> RedisConnectionInfo {
        let mut login = RedisConnectionInfo::default()
            .set_db(self.database.into())
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("zhongkong", env!("CARGO_PKG_VERSION"));
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.expose_secret());
        }
        login
    }
}

//! Where Redis is, and how to log in there.

use std::fmt;
use std::path::PathBuf;

use redis::{Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};
use secrecy::{ExposeSecret, SecretString};

use crate::link::describe;
use crate::tls::Tls;

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
    /// The primary that Sentinels name.
    Sentinel(SentinelSettings),
    /// A Redis Cluster, some of whose servers are at these hosts and ports; it names the others.
    Cluster(Vec<(String, u16)>),
}

/// Sentinels, and the primary that they watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelSettings {
    /// Where they are, or some of them.
    pub addresses: Vec<RedisAddress>,
    /// The primary's name.
    pub primary: String,
    /// How they let a worker in.
    pub access: Access,
}

/// How any one server lets a worker in.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The database's number.
    pub database: u16,
    /// The user, where one is named.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<SecretString>,
    /// How the connection is encrypted, if it is.
    pub tls: Option<Tls>,
}

/// How to reach Redis.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Where it is.
    pub deployment: Deployment,
    /// How it lets a worker in.
    pub access: Access,
}

impl PartialEq for Access {
    fn eq(&self, other: &Self) -> bool {
        let password =
            |access: &Self| access.password.as_ref().map(|p| p.expose_secret().to_owned());
        let rest = |access: &Self| (access.database, access.username.clone(), access.tls.clone());
        rest(self) == rest(other) && password(self) == password(other)
    }
}

impl Eq for Access {}

impl Access {
    /// A client of the server at `address`; nothing is connected yet. Reads the files of the encryption.
    pub(crate) fn client(&self, address: &RedisAddress) -> Result<Client, String> {
        let encrypted = self.tls.is_some();
        let address = match address {
            RedisAddress::Tcp(host, port) if encrypted => ConnectionAddr::TcpTls {
                host: host.clone(),
                port: *port,
                insecure: false,
                tls_params: None,
            },
            RedisAddress::Tcp(host, port) => ConnectionAddr::Tcp(host.clone(), *port),
            RedisAddress::Unix(path) => ConnectionAddr::Unix(path.clone()),
        };
        let info = address.into_connection_info().map_err(|error| describe(&error))?;
        let info = info.set_redis_settings(self.login());
        let client = match &self.tls {
            Some(tls) => {
                let certificates = tls.read().map_err(|error| error.to_string())?;
                Client::build_with_tls(info, certificates)
            }
            None => Client::open(info),
        };
        client.map_err(|error| describe(&error))
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

/// As people write it.
impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

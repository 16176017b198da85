//! Where Redis is: at an address, or where Sentinels say that the primary is.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use redis::aio::MultiplexedConnection;
use redis::{Client, IntoConnectionInfo};
use tokio::time::timeout;

/// The longest wait for one Sentinel: the next one is asked after it.
const SENTINEL_WITHIN: Duration = Duration::from_millis(500);

/// Where to connect to. Has no derived `Debug`: the URL may hold a password.
#[derive(Clone)]
pub(crate) enum Place {
    Server(Box<Client>),
    Sentinels { hosts: Vec<String>, primary: String },
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Server(_) => "Server",
            Self::Sentinels { .. } => "Sentinels",
        })
    }
}

impl FromStr for Place {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> anyhow::Result<Self> {
        let Some(rest) = url.strip_prefix("redis+sentinel://") else {
            let client = Client::open(url).context("no address of a Redis")?;
            return Ok(Self::Server(Box::new(client)));
        };
        let (hosts, primary) = rest.split_once('/').unwrap_or_default();
        let hosts: Vec<String> = hosts.split(',').map(str::to_owned).collect();
        for host in &hosts {
            if format!("redis://{host}").into_connection_info().is_err() || host.is_empty() {
                bail!("expected redis+sentinel://host:26379,host:26379/name");
            }
        }
        if primary.is_empty() || primary.contains('/') {
            bail!("expected the primary's name after the Sentinels: redis+sentinel://…/name");
        }
        Ok(Self::Sentinels { hosts, primary: primary.to_owned() })
    }
}

impl Place {
    /// A connection to the primary. The caller bounds the time.
    pub(crate) async fn connect(&self) -> anyhow::Result<MultiplexedConnection> {
        let client = match self {
            Self::Server(client) => Client::clone(client),
            Self::Sentinels { hosts, primary } => Client::open(named(hosts, primary).await?)?,
        };
        Ok(client.get_multiplexed_async_connection().await?)
    }
}

/// The primary as the first Sentinel that answers names it.
async fn named(hosts: &[String], primary: &str) -> anyhow::Result<(String, u16)> {
    for host in hosts {
        let asked = timeout(SENTINEL_WITHIN, async {
            let client = Client::open(format!("redis://{host}"))?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd("SENTINEL")
                .arg("GET-MASTER-ADDR-BY-NAME")
                .arg(primary)
                .query_async(&mut connection)
                .await
        });
        // One that is away, or that does not know the primary, says nothing about where it is.
        let answer: Result<redis::RedisResult<(String, u16)>, _> = asked.await;
        if let Ok(Ok(address)) = answer {
            return Ok(address);
        }
    }
    bail!("no Sentinel says where {primary} is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_workers_are_given() {
        let place: Place = "redis+sentinel://a:26379,b:26380/mymaster".parse().unwrap();
        let Place::Sentinels { hosts, primary } = place else { panic!("no Sentinels") };
        assert_eq!((hosts.join(" ").as_str(), primary.as_str()), ("a:26379 b:26380", "mymaster"));
        assert!(matches!("redis://redis:6379/0".parse(), Ok(Place::Server(_))));
        for wrong in [
            "http://a",
            "redis+sentinel://a:26379",
            "redis+sentinel:///name",
            "redis+sentinel://a,/n",
        ] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}

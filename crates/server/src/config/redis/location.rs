//! `redis.url`: one server or Sentinels, and how to log in there.
//!
//! Taken apart by hand, since it may name several hosts, which the standard's URLs may not.

use url::Host;
use zhongkong_redis::{Access, Deployment, RedisAddress, SentinelSettings};

use crate::config::value::Raw;

/// Redis' own port.
const PORT: u16 = 6379;
/// A Sentinel's.
const SENTINEL_PORT: u16 = 26379;
/// The most Sentinels that are asked.
const SENTINELS_MAX: usize = 16;
const SCHEMES: &str =
    "redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// (over TLS: rediss+…)";

/// What the URL says.
#[derive(Debug)]
pub(super) struct Location {
    pub(super) deployment: Deployment,
    pub(super) database: u16,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) encrypted: bool,
}

/// The parts of what follows `scheme://`.
struct Parts<'a> {
    username: Option<String>,
    password: Option<String>,
    /// Each with its port, if one is named.
    hosts: Vec<(String, Option<u16>)>,
    /// What follows the slash after them.
    path: &'a str,
}

/// The URL is never repeated in a message: it may hold a password.
pub(super) fn location(raw: Raw<'_>) -> Result<Location, String> {
    let (scheme, rest) = raw.text()?.split_once("://").unwrap_or_default();
    match scheme {
        "redis" => server(rest, false),
        "rediss" => server(rest, true),
        "unix" => socket(rest),
        "redis+cluster" => cluster(rest, false),
        "rediss+cluster" => cluster(rest, true),
        "redis+sentinel" => sentinel(rest, false),
        "rediss+sentinel" => sentinel(rest, true),
        _ => Err(format!("must begin with {SCHEMES}")),
    }
}

fn server(rest: &str, encrypted: bool) -> Result<Location, String> {
    let Parts { username, password, hosts, path } = Parts::of(rest)?;
    let wanted = "must be redis://host:port/database, the database a number";
    let database = database(path).ok_or(wanted)?;
    let Ok([(host, port)]) = <[_; 1]>::try_from(hosts) else { return Err(wanted.to_owned()) };
    let deployment = Deployment::Server(RedisAddress::Tcp(host, port.unwrap_or(PORT)));
    Ok(Location { deployment, database, username, password, encrypted })
}

fn cluster(rest: &str, encrypted: bool) -> Result<Location, String> {
    let Parts { username, password, hosts, path } = Parts::of(rest)?;
    if database(path) != Some(0) {
        return Err(
            "must be redis+cluster://host:port,host:port without a database: a cluster has but one"
                .to_owned(),
        );
    }
    let hosts = hosts.into_iter().map(|(host, port)| (host, port.unwrap_or(PORT))).collect();
    Ok(Location {
        deployment: Deployment::Cluster(hosts),
        database: 0,
        username,
        password,
        encrypted,
    })
}

/// The login is that of the primary.
fn sentinel(rest: &str, encrypted: bool) -> Result<Location, String> {
    let Parts { username, password, hosts, path } = Parts::of(rest)?;
    let wanted = "must be redis+sentinel://host:port,host:port/name of the primary/database, the database a number";
    let (name, number) = path.split_once('/').unwrap_or((path, ""));
    let database = database(number).ok_or(wanted)?;
    let primary = decoded(name)?;
    if primary.is_empty() {
        return Err(wanted.to_owned());
    }
    if hosts.len() > SENTINELS_MAX {
        return Err(format!("must name {SENTINELS_MAX} hosts at most"));
    }
    let address =
        |(host, port): (_, Option<_>)| RedisAddress::Tcp(host, port.unwrap_or(SENTINEL_PORT));
    let deployment = Deployment::Sentinel(SentinelSettings {
        addresses: hosts.into_iter().map(address).collect(),
        primary,
        access: Access::default(),
    });
    Ok(Location { deployment, database, username, password, encrypted })
}

fn socket(rest: &str) -> Result<Location, String> {
    let wanted = "must hold an absolute path: unix:///run/redis.sock?db=0";
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    // Other clients read a login from these.
    if query.split('&').any(|pair| pair.starts_with("user=") || pair.starts_with("pass=")) {
        return Err("user and pass belong into redis.username and redis.password".to_owned());
    }
    let number = query.strip_prefix("db=");
    if !path.starts_with('/') || path.len() < 2 || (number.is_none() && !query.is_empty()) {
        return Err(wanted.to_owned());
    }
    let database = database(number.unwrap_or_default()).ok_or(wanted)?;
    let deployment = Deployment::Server(RedisAddress::Unix(decoded(path)?.into()));
    Ok(Location { deployment, database, username: None, password: None, encrypted: false })
}

impl<'a> Parts<'a> {
    fn of(rest: &'a str) -> Result<Self, String> {
        if rest.contains(['?', '#']) {
            return Err(
                "must end with the path; write a ? or # of a login as %3F or %23".to_owned()
            );
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (username, password) = match login.split_once(':') {
            Some((username, password)) => (username, Some(decoded(password)?)),
            None => (login, None),
        };
        let username = Some(username).filter(|name| !name.is_empty()).map(decoded).transpose()?;
        let hosts: Result<Vec<_>, String> = hosts.split(',').map(host).collect();
        Ok(Self { username, password, hosts: hosts?, path })
    }
}

/// A host, without the brackets of IPv6, and its port.
fn host(text: &str) -> Result<(String, Option<u16>), String> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let port = port.map(|port| port.parse().ok().filter(|port| *port > 0));
    let port = match port {
        Some(None) => return Err("holds a port that is no number from 1 to 65535".to_owned()),
        Some(port) => port,
        None => None,
    };
    match Host::parse(name) {
        Ok(Host::Domain(name)) => Ok((name, port)),
        Ok(Host::Ipv4(address)) => Ok((address.to_string(), port)),
        Ok(Host::Ipv6(address)) => Ok((address.to_string(), port)),
        Err(_) => Err("must hold a host; write an IPv6 address as [::1]".to_owned()),
    }
}

/// The number of a database; 0 where none is named.
fn database(text: &str) -> Option<u16> {
    if text.is_empty() { Some(0) } else { text.parse().ok() }
}

/// `text` without its percent-encoding.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut parts = text.split('%');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        let byte = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.ok_or("holds a % that is no percent-encoding; write it as %25")?);
        bytes.extend(part.bytes().skip(2));
    }
    String::from_utf8(bytes).map_err(|_| "holds a percent-encoding that is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(url: &str) -> (Deployment, u16) {
        let location = location(Raw::Variable(url)).unwrap();
        (location.deployment, location.database)
    }

    #[test]
    fn a_server_is_a_host_and_a_port_or_a_socket_and_a_cluster_several_hosts() {
        let tcp = |host: &str, port| Deployment::Server(RedisAddress::Tcp(host.to_owned(), port));
        assert_eq!(understood("redis://store"), (tcp("store", 6379), 0));
        assert_eq!(understood("redis://Store_1:6380/"), (tcp("store_1", 6380), 0));
        assert_eq!(understood("redis://10.0.0.7/15"), (tcp("10.0.0.7", 6379), 15));
        assert_eq!(understood("redis://u:p@[fd00::7]:6380/1"), (tcp("fd00::7", 6380), 1));
        assert_eq!(understood("redis://[::1]"), (tcp("::1", 6379), 0));
        let at = |host: &str, port| (host.to_owned(), port);
        let hosts = vec![at("h1", 7000), at("fd00::7", 6379)];
        assert_eq!(
            understood("redis+cluster://u:p@h1:7000,[fd00::7]"),
            (Deployment::Cluster(hosts), 0)
        );
        assert!(location(Raw::Variable("rediss+cluster://h1/0")).unwrap().encrypted);
        let unix = |path: &str| Deployment::Server(RedisAddress::Unix(path.into()));
        assert_eq!(understood("unix:///run/redis.sock"), (unix("/run/redis.sock"), 0));
        assert_eq!(understood("unix:///a%20b?db=7"), (unix("/a b"), 7));
    }

    #[test]
    fn sentinels_are_hosts_and_the_name_of_a_primary() {
        let url = "rediss+sentinel://u:p@h1:26380,h2,[::1]:7/my%20master/3";
        let Location { deployment, database, username, password, encrypted } =
            location(Raw::Variable(url)).unwrap();
        let hosts = [("h1", 26380), ("h2", 26379), ("::1", 7)];
        let expected = SentinelSettings {
            addresses: hosts.map(|(host, port)| RedisAddress::Tcp(host.to_owned(), port)).into(),
            primary: "my master".to_owned(),
            access: Access::default(),
        };
        assert_eq!(deployment, Deployment::Sentinel(expected));
        assert_eq!((database, encrypted), (3, true));
        assert_eq!((username.as_deref(), password.as_deref()), (Some("u"), Some("p")));
        assert!(!location(Raw::Variable("redis+sentinel://h/m")).unwrap().encrypted);
    }

    #[test]
    fn a_login_is_decoded_and_its_last_at_sign_ends_it() {
        let login = |url: &str| {
            let location = location(Raw::Variable(url)).unwrap();
            (location.username.unwrap_or_default(), location.password.unwrap_or_default())
        };
        let pair = |name: &str, password: &str| (name.to_owned(), password.to_owned());
        assert_eq!(login("redis://zhong:a%40b%25c@store"), pair("zhong", "a@b%c"));
        assert_eq!(login("redis://:a@b:c@store"), pair("", "a@b:c"));
        assert_eq!(login("redis://zhong@store"), pair("zhong", ""));
        assert_eq!(login("redis://%E4%B8%AD@store"), pair("中", ""));
    }
}

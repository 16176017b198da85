//! The section `[redis]`: where the store is, and how to log in there.

use secrecy::SecretString;
use url::Url;

use super::secret::secret;
use super::section::Section;
use super::value::Raw;

/// The longest prefix of keys, in characters.
const PREFIX_MAX: usize = 64;

/// The store.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// `redis://host:port/database` or `unix:///path?db=database`; user and password are taken out of it.
    pub url: Url,
    /// What every key begins with.
    pub prefix: String,
    /// The user, if not the default one.
    pub username: Option<String>,
    /// The password, if there is one.
    pub password: Option<SecretString>,
    /// How many replicas must acknowledge a claim.
    pub replicas: Replicas,
}

/// How many replicas must acknowledge a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// As many as were ever seen.
    Auto,
    /// So many; 0 = none.
    Number(u32),
}

/// What a URL says.
struct Location {
    url: Url,
    username: Option<String>,
    password: Option<String>,
}

pub(super) fn read(section: &Section<'_>) -> Option<RedisConfig> {
    let location = section.read_or("url", "redis://127.0.0.1:6379/0", location);
    let username = section.read("username", |raw| match raw.text()? {
        "" => Err("must not be empty; leave it out for the default user".to_owned()),
        name => Ok(name.to_owned()),
    });
    let password = secret(section, "password").map(|(_, password)| password);
    let prefix = section.read_or("prefix", "zhongkong", |raw| prefix(raw.text()?));
    let replicas = section.read("replicas", |raw| match raw.text() {
        Ok("auto") => Ok(Replicas::Auto),
        _ => {
            raw.number(0..=100).map(Replicas::Number).map_err(|what| format!("{what}, or \"auto\""))
        }
    });

    let Location { url, username: url_username, password: url_password } = location?;
    for (key, twice) in [
        ("username", section.has("username") && url_username.is_some()),
        ("password", section.has("password") && url_password.is_some()),
    ] {
        if twice {
            section.problem(key, "contradicts the one in redis.url; remove one of them");
        }
    }
    if url_password.is_some() && section.in_file("url") {
        section.warn(
            "url",
            "a password in plain text; use redis.password = { file = … } or { env = … }",
        );
    }
    Some(RedisConfig {
        url,
        prefix: prefix?,
        username: username.or(url_username),
        password: password.or(url_password.map(SecretString::from)),
        replicas: replicas.unwrap_or(Replicas::Auto),
    })
}

fn prefix(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":._-".contains(c);
    if (1..=PREFIX_MAX).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(text.to_owned());
    }
    let braces = if text.contains(['{', '}']) { "; braces would move the hash tag" } else { "" };
    Err(format!("must be 1 to {PREFIX_MAX} characters of A-Z a-z 0-9 : . _ -{braces}"))
}

/// The URL is never repeated in a message: it may hold a password.
fn location(raw: Raw<'_>) -> Result<Location, String> {
    let text = raw.text()?;
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    match scheme {
        "redis" | "unix" => {}
        "rediss" | "redis+sentinel" | "redis+cluster" => {
            return Err(format!("{scheme}:// is not in this version; use redis:// or unix://"));
        }
        _ => return Err("must begin with redis:// or unix://".to_owned()),
    }
    let mut url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    if scheme == "unix" {
        if url.has_host() || url.path().len() < 2 {
            return Err("must hold an absolute path: unix:///run/redis.sock?db=0".to_owned());
        }
        // The two parameters that the client reads a login from.
        if url.query_pairs().any(|(name, _)| name == "user" || name == "pass") {
            return Err("user and pass belong into redis.username and redis.password".to_owned());
        }
        return Ok(Location { url, username: None, password: None });
    }
    let database = url.path().trim_start_matches('/');
    if !url.has_host() || !(database.is_empty() || database.parse::<u16>().is_ok()) {
        return Err("must be redis://host:port/database, the database a number".to_owned());
    }
    let username = Some(url.username()).filter(|name| !name.is_empty()).map(decoded).transpose()?;
    let password = url.password().map(decoded).transpose()?;
    let bare = url.set_username("").is_ok() && url.set_password(None).is_ok();
    if !bare {
        return Err("must hold a host".to_owned());
    }
    Ok(Location { url, username, password })
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
    use secrecy::ExposeSecret;

    use super::Replicas;
    use crate::config::testing::{ACCOUNT, load_with, loaded, refused, refused_with, warned};

    #[test]
    fn user_and_password_leave_the_url() {
        let toml = format!("redis.url = \"redis://zhong:a%40b%25c@store:6380/3\"\n{ACCOUNT}");
        let redis = loaded(&toml).config.redis;
        assert_eq!(redis.url.as_str(), "redis://store:6380/3");
        assert_eq!(redis.username.as_deref(), Some("zhong"));
        assert_eq!(redis.password.unwrap().expose_secret(), "a@b%c");
        warned(&toml, &["zhongkong.toml:1: redis.url: a password in plain text"]);
    }

    #[test]
    fn a_socket_and_a_number_of_replicas_are_understood() {
        let toml = "[redis]\nurl = \"unix:///run/redis.sock?db=2\"\nreplicas = 0";
        let redis = loaded(&format!("{toml}\n{ACCOUNT}")).config.redis;
        assert_eq!(redis.url.path(), "/run/redis.sock");
        assert_eq!(redis.replicas, Replicas::Number(0));
    }

    #[test]
    fn the_password_may_come_from_the_environment() {
        for (name, value) in [
            ("ZHONGKONG__REDIS__PASSWORD", "s3cret"),
            ("ZHONGKONG__REDIS__PASSWORD__ENV", "WX_SECRET"),
        ] {
            let loaded = load_with(ACCOUNT, [(name, value)]).unwrap();
            assert_eq!(loaded.config.redis.password.unwrap().expose_secret(), "s3cret");
            assert_eq!(loaded.warnings, Vec::<String>::new());
        }
        let variable = ("ZHONGKONG__REDIS__PASSWORD__FILE", "/no/such/file");
        refused_with(ACCOUNT, [variable], &[variable.0, "/no/such/file", "cannot be read"]);
        refused_with(ACCOUNT, [("ZHONGKONG__REDIS__PASSWORD", "")], &["is empty"]);
    }

    #[test]
    fn what_cannot_be_reached_is_refused() {
        for (url, part) in [
            ("rediss://h", "rediss:// is not in this version"),
            ("redis+sentinel://:s3cret@h1:26379,h2:26379/mymaster", "is not in this version"),
            ("redis+cluster://h1:7000,h2:7001", "is not in this version"),
            ("http://h", "must begin with redis:// or unix://"),
            ("redis://:s3cret@h:port", "is no URL"),
            ("redis://", "redis://host:port/database"),
            ("redis://h/mymaster", "the database a number"),
            ("redis://:s3cret%@h", "%25"),
            ("unix://run/redis.sock", "absolute path"),
            ("unix:///run/redis.sock?pass=s3cret", "redis.password"),
        ] {
            refused(&format!("[redis]\nurl = {url:?}"), &["zhongkong.toml:2: redis.url: ", part]);
        }
    }

    #[test]
    fn odd_names_and_logins_are_refused() {
        for (line, part) in [
            ("prefix = \"a{b}\"", "braces would move the hash tag"),
            ("prefix = \"\"", "1 to 64 characters"),
            ("username = \"\"", "must not be empty"),
            ("username = 7", "must be a string, found integer"),
            ("password = 5353", "name its source"),
            ("replicas = \"all\"", "must be a whole number, 0 to 100, or \"auto\""),
        ] {
            let key = format!("redis.{}: ", line.split(' ').next().unwrap());
            refused(&format!("[redis]\n{line}"), &["zhongkong.toml:2: ", &key, part]);
        }
        let twice = "[redis]\nurl = \"redis://:s3cret@h\"\npassword = \"s3cret\"";
        refused(twice, &["zhongkong.toml:3: redis.password: contradicts the one in redis.url"]);
    }
}

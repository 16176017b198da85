//! The section `[redis]`: where the store is, and how to log in there.

mod location;

use secrecy::SecretString;
use zhongkong_redis::Deployment;

use self::location::{Location, location};
use super::secret::secret;
use super::section::Section;

/// The longest prefix of keys, in characters.
const PREFIX_MAX: usize = 64;

/// The store.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Where it is.
    pub deployment: Deployment,
    /// The database's number.
    pub database: u16,
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

    let Location { deployment, database, username: url_username, password: url_password } =
        location?;
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
        deployment,
        database,
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

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use zhongkong_redis::{Deployment, RedisAddress};

    use super::Replicas;
    use crate::config::testing::{ACCOUNT, load_with, loaded, refused, refused_with, warned};

    #[test]
    fn user_and_password_leave_the_url() {
        let toml = format!("redis.url = \"redis://zhong:a%40b%25c@store:6380/3\"\n{ACCOUNT}");
        let redis = loaded(&toml).config.redis;
        let address = RedisAddress::Tcp("store".to_owned(), 6380);
        assert_eq!((redis.deployment, redis.database), (Deployment::Server(address), 3));
        assert_eq!(redis.username.as_deref(), Some("zhong"));
        assert_eq!(redis.password.unwrap().expose_secret(), "a@b%c");
        warned(&toml, &["zhongkong.toml:1: redis.url: a password in plain text"]);
    }

    #[test]
    fn a_socket_and_a_number_of_replicas_are_understood() {
        let toml = "[redis]\nurl = \"unix:///run/redis.sock?db=2\"\nreplicas = 0";
        let redis = loaded(&format!("{toml}\n{ACCOUNT}")).config.redis;
        let address = RedisAddress::Unix("/run/redis.sock".into());
        assert_eq!((redis.deployment, redis.database), (Deployment::Server(address), 2));
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
            ("redis://:s3cret@h:port", "a port that is no number"),
            ("redis://:s3cret@h:0", "a port that is no number"),
            ("redis://:s3cret/x@h", "a port that is no number"),
            ("redis://", "must hold a host"),
            ("redis://:s3cret@::1", "write an IPv6 address as [::1]"),
            ("redis://h/mymaster", "the database a number"),
            ("redis://h1,h2", "must be redis://host:port/database"),
            ("redis://:s3cret#@h", "%23"),
            ("redis://:s3cret%@h", "%25"),
            ("redis://:s3cret%FF@h", "not UTF-8"),
            ("unix://run/redis.sock", "absolute path"),
            ("unix:///run/redis.sock?database=1", "?db=0"),
            ("unix:///run/redis.sock?db=s3cret", "?db=0"),
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

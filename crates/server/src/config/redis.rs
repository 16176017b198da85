//! The section `[redis]`: where the store is, and how to log in there.

mod location;

use secrecy::SecretString;
use zhongkong_redis::{Access, Deployment, SentinelSettings, Tls};

use self::location::{Location, location};
use super::secret::secret;
use super::section::Section;
use super::value::Raw;

/// The longest prefix of keys, in characters.
const PREFIX_MAX: usize = 64;

/// The files of the encryption.
const TLS_KEYS: [&str; 3] = ["ca", "client_cert", "client_key"];

/// The store.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Where it is.
    pub deployment: Deployment,
    /// How it lets a worker in; what the URL says of a login is here.
    pub access: Access,
    /// What every key begins with.
    pub prefix: String,
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
    let own_username = section.read("username", username);
    let password = secret(section, "password").map(|(_, password)| password);
    let sentinel_username = section.read("sentinel_username", username);
    let sentinel_password = secret(section, "sentinel_password").map(|(_, password)| password);
    let prefix = section.read_or("prefix", "zhongkong", |raw| prefix(raw.text()?));
    let replicas = section.read("replicas", |raw| match raw.text() {
        Ok("auto") => Ok(Replicas::Auto),
        _ => {
            raw.number(0..=100).map(Replicas::Number).map_err(|what| format!("{what}, or \"auto\""))
        }
    });

    let Location {
        deployment,
        database,
        username: url_username,
        password: url_password,
        encrypted,
    } = location?;
    let tls = tls(section, encrypted);
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
    let tls = encrypted.then_some(tls);
    let mut deployment = deployment;
    if let Deployment::Sentinel(SentinelSettings { access, .. }) = &mut deployment {
        *access = Access {
            database: 0,
            username: sentinel_username,
            password: sentinel_password,
            tls: tls.clone(),
        };
    } else {
        for key in ["sentinel_username", "sentinel_password"] {
            if section.has(key) {
                section.problem(
                    key,
                    "is of use with redis+sentinel:// alone; change redis.url, or remove it",
                );
            }
        }
    }
    Some(RedisConfig {
        deployment,
        access: Access {
            database,
            username: own_username.or(url_username),
            password: password.or(url_password.map(SecretString::from)),
            tls,
        },
        prefix: prefix?,
        replicas: replicas.unwrap_or(Replicas::Auto),
    })
}

fn username(raw: Raw<'_>) -> Result<String, String> {
    match raw.text()? {
        "" => Err("must not be empty; leave it out for the default user".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// The files of the encryption, tried once so that a useless one is found at start.
fn tls(section: &Section<'_>, encrypted: bool) -> Tls {
    let [ca, certificate, key] = TLS_KEYS.map(|key| {
        if !encrypted && section.has(key) {
            section.problem(key, "is of use with rediss:// or rediss+sentinel:// alone; change redis.url, or remove it");
            return None;
        }
        section.read(key, |raw| match raw.text()? {
            "" => Err("must not be empty".to_owned()),
            file => Ok(section.directory_of(key).join(file)),
        })
    });
    let own = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (Some(_), None) if !section.has("client_key") => {
            section.problem("client_cert", "takes a client_key");
            None
        }
        (None, Some(_)) if !section.has("client_cert") => {
            section.problem("client_key", "takes a client_cert");
            None
        }
        _ => None,
    };
    let tls = Tls { ca, own };
    if let Err(error) = tls.check() {
        section.problem(error.key, &error.to_string());
    }
    tls
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

    use zhongkong_redis::{Deployment, RedisAddress, SentinelSettings, Tls};

    use super::Replicas;
    use crate::config::testing::{ACCOUNT, load_with, loaded, refused, refused_with, warned};

    #[test]
    fn user_and_password_leave_the_url() {
        let toml = format!("redis.url = \"redis://zhong:a%40b%25c@store:6380/3\"\n{ACCOUNT}");
        let redis = loaded(&toml).config.redis;
        let address = RedisAddress::Tcp("store".to_owned(), 6380);
        assert_eq!((redis.deployment, redis.access.database), (Deployment::Server(address), 3));
        assert_eq!(redis.access.username.as_deref(), Some("zhong"));
        assert_eq!(redis.access.password.unwrap().expose_secret(), "a@b%c");
        warned(&toml, &["zhongkong.toml:1: redis.url: a password in plain text"]);
    }

    #[test]
    fn a_socket_and_a_number_of_replicas_are_understood() {
        let toml = "[redis]\nurl = \"unix:///run/redis.sock?db=2\"\nreplicas = 0";
        let redis = loaded(&format!("{toml}\n{ACCOUNT}")).config.redis;
        let address = RedisAddress::Unix("/run/redis.sock".into());
        assert_eq!((redis.deployment, redis.access.database), (Deployment::Server(address), 2));
        assert_eq!(redis.replicas, Replicas::Number(0));
    }

    #[test]
    fn the_password_may_come_from_the_environment() {
        for (name, value) in [
            ("ZHONGKONG__REDIS__PASSWORD", "s3cret"),
            ("ZHONGKONG__REDIS__PASSWORD__ENV", "WX_SECRET"),
        ] {
            let loaded = load_with(ACCOUNT, [(name, value)]).unwrap();
            assert_eq!(loaded.config.redis.access.password.unwrap().expose_secret(), "s3cret");
            assert_eq!(loaded.warnings, Vec::<String>::new());
        }
        let variable = ("ZHONGKONG__REDIS__PASSWORD__FILE", "/no/such/file");
        refused_with(ACCOUNT, [variable], &[variable.0, "/no/such/file", "cannot be read"]);
        refused_with(ACCOUNT, [("ZHONGKONG__REDIS__PASSWORD", "")], &["is empty"]);
    }

    #[test]
    fn what_cannot_be_reached_is_refused() {
        for (url, part) in [
            ("redis+sentinel://:s3cret@h1:26379,h2:26379", "name of the primary"),
            ("redis+sentinel://h1,h2/mymaster/s3cret", "the database a number"),
            ("redis+sentinel://h1,:s3cret/mymaster", "a port that is no number"),
            ("redis+sentinel://h1,,h2/mymaster", "must hold a host"),
            ("redis+cluster://h1:7000,h2:7001/1", "a cluster has but one"),
            ("http://h", "must begin with redis://, rediss://, unix://, redis+sentinel:// or"),
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
    fn an_encrypted_connection_takes_files_which_are_tried() {
        let redis = loaded(&format!("redis.url = \"rediss://store\"\n{ACCOUNT}")).config.redis;
        assert_eq!(redis.access.tls, Some(Tls::default()));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("s3cret.pem");
        std::fs::write(&file, "-----BEGIN s3cret-----").unwrap();
        let other = directory.path().join("empty.pem");
        std::fs::write(&other, "").unwrap();
        for (lines, key, part) in [
            ("ca = \"no/such.pem\"".to_owned(), "ca", "no/such.pem cannot be read: "),
            (format!("ca = {other:?}"), "ca", "holds no certificate in PEM form"),
            ("ca = \"\"".to_owned(), "ca", "must not be empty"),
            (format!("client_cert = {other:?}"), "client_cert", "takes a client_key"),
            (format!("client_key = {other:?}"), "client_key", "takes a client_cert"),
            (
                format!("client_cert = {other:?}\nclient_key = {file:?}"),
                "client_cert",
                "holds no certificate",
            ),
        ] {
            let toml = format!("[redis]\nurl = \"rediss://store\"\n{lines}");
            refused(&toml.replace("s3cret", "key"), &[&format!("redis.{key}: "), part]);
            let toml = format!("[redis]\nurl = \"redis://store\"\n{lines}");
            let part = "is of use with rediss:// or rediss+sentinel:// alone";
            refused(&toml.replace("s3cret", "key"), &[&format!("redis.{key}: "), part]);
        }
    }

    #[test]
    fn sentinels_have_a_login_of_their_own_and_the_encryption_in_common() {
        let toml = format!(
            "[redis]\nurl = \"rediss+sentinel://:s3cret@h1/mymaster\"\nsentinel_username = \"watch\"\n{ACCOUNT}"
        );
        let variable = ("ZHONGKONG__REDIS__SENTINEL_PASSWORD", "s3cret-too");
        let redis = load_with(&toml, [variable]).unwrap().config.redis;
        assert_eq!(redis.access.password.unwrap().expose_secret(), "s3cret");
        let Deployment::Sentinel(SentinelSettings { access, .. }) = redis.deployment else {
            panic!("another deployment");
        };
        assert_eq!(access.username.as_deref(), Some("watch"));
        assert_eq!(access.password.unwrap().expose_secret(), "s3cret-too");
        assert_eq!((access.tls, redis.access.username), (Some(Tls::default()), None));
        let toml = format!("redis.sentinel_username = \"watch\"\n{ACCOUNT}");
        refused_with(
            &toml,
            [variable],
            &["redis.sentinel_username: is of use with redis+sentinel:// alone", variable.0],
        );
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

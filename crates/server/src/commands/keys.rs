//! `keys`: what readers may read in Redis of a credential, and where they report a rejected token.

mod published;

use std::path::Path;

use serde::Serialize;
use zhongkong_core::credential::{CredentialId, Unit};
use zhongkong_redis::{Access, Deployment, Keys, RedisAddress, SentinelSettings, Tls};

use crate::config::{Config, RedisConfig};
use crate::language::Language;
use crate::terminal::{Exit, answer, complain};

/// Something in Redis that readers may use.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    name: String,
    #[serde(rename = "type")]
    form: &'static str,
    content: String,
    /// A line for a shell; it asks for the password where there is one.
    command: String,
    /// The layout, where an SDK reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<&'static str>,
    /// How a service with that SDK is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
}

pub(crate) fn keys(
    config: &Config,
    id: &CredentialId,
    as_json: bool,
    language: Language,
) -> anyhow::Result<Exit> {
    let Some(credential) = config.credentials.iter().find(|credential| credential.id == *id) else {
        complain(&match language {
            Language::English => {
                format!("unknown credential {id}: it is not in this configuration")
            }
            Language::Chinese => format!("未知账号 {id}：不在当前配置中"),
        });
        return Ok(Exit::Failed);
    };
    let units: Vec<_> = credential.units().collect();
    let mut entries = entries(&config.redis, &units, language);
    let client = client(&config.redis);
    entries.extend(published::entries(&credential.publish, &client, language));
    if as_json {
        answer(&serde_json::to_string_pretty(&entries)?);
        return Ok(Exit::Done);
    }
    for (number, entry) in entries.iter().enumerate() {
        let Entry { name, form, content, command, service, .. } = entry;
        let gap = if number == 0 { "" } else { "\n" };
        let form = match *form {
            "stream" => language.say("stream", "流"),
            "channel" => language.say("channel", "频道"),
            "hash" => language.say("hash", "哈希"),
            _ => language.say("string", "字符串"),
        };
        let colon = language.colon();
        answer(&format!("{gap}{name}\n  {form}{colon}{content}\n  {command}"));
        if let Some(service) = service {
            answer(&format!("  {}{colon}{service}", language.say("the service", "服务端配置")));
        }
    }
    Ok(Exit::Done)
}

/// What stands in Redis for the readers of `units`, which are those of one credential.
fn entries(redis: &RedisConfig, units: &[Unit], language: Language) -> Vec<Entry> {
    let keys = Keys::new(redis.prefix.clone());
    let client = client(redis);
    let (reports, events) = (keys.reports(), keys.events());
    let Some(Unit { id, kind }) = units.first() else { return Vec::new() };
    let mut entries: Vec<Entry> = units
        .iter()
        .map(|unit| {
            let reader = keys.reader(unit);
            let content = content(unit, language);
            let command = format!("{client} GET '{reader}'");
            Entry { name: reader, form: "string", content, command, layout: None, service: None }
        })
        .collect();
    entries.extend([
        Entry {
            form: "stream",
            content: language
                .say(
                    "reports of a rejected token (40001, 40014, 42001), if the key still holds it when it is read again; then \
                     wait a moment and repeat the call once. FINGERPRINT is: printf %s \"$TOKEN\" | sha256sum | cut -c1-16",
                    "上报被拒绝的 token（40001、40014、42001）：重新读取该键，若仍是它才上报，稍候再重试一次调用；\
                     FINGERPRINT 为：printf %s \"$TOKEN\" | sha256sum | cut -c1-16",
                )
                .to_owned(),
            command: format!(
                "{client} XADD {reports} MAXLEN '~' 10000 '*' id {id} kind {kind} fingerprint FINGERPRINT"
            ),
            name: reports,
            layout: None,
            service: None,
        },
        Entry {
            form: "channel",
            content: language
                .say(
                    "one JSON object for each change of any credential; never a token",
                    "任何账号的每次变化一个 JSON 对象；不含 token",
                )
                .to_owned(),
            command: format!("{client} SUBSCRIBE {events}"),
            name: events,
            layout: None,
            service: None,
        },
    ]);
    entries
}

/// What the key of `unit` holds.
fn content(Unit { id, kind }: &Unit, language: Language) -> String {
    match (kind.ticket(), language) {
        (None, Language::English) => format!(
            "the token, alone; its TTL is what is left of its life; absent: there is no valid token, \
             and `zhongkong status {id}` says why"
        ),
        (None, Language::Chinese) => format!(
            "仅 token 本身；TTL 为剩余有效期；键不存在表示没有有效 token，原因见 `zhongkong status {id}`"
        ),
        (Some(ticket), Language::English) => format!(
            "the ticket of type {ticket}, alone; its TTL is how long it is sure to be accepted; absent: there is none, and \
             `zhongkong status {id}` says why"
        ),
        (Some(ticket), Language::Chinese) => format!(
            "仅 {ticket} ticket 本身；TTL 为确定有效的时间；键不存在表示没有可用的 ticket，原因见 `zhongkong status {id}`"
        ),
    }
}

/// How `redis-cli` is called; a password is asked for, and never part of it.
fn client(config: &RedisConfig) -> String {
    let RedisConfig { deployment, access, .. } = config;
    let Access { database, username, password, tls } = access;
    let mut words = vec!["redis-cli".to_owned()];
    words.push(match deployment {
        Deployment::Server(address) => to(address),
        Deployment::Sentinel(sentinels) => format!("$({})", ask(sentinels)),
        // Any of them leads to the one that has the key.
        Deployment::Cluster(hosts) => {
            let any = hosts.first().map(|(host, port)| to(&RedisAddress::Tcp(host.clone(), *port)));
            format!("{} -c", any.unwrap_or_default())
        }
    });
    if *database != 0 {
        words.push(format!("-n {database}"));
    }
    words.extend(tls.as_ref().map(encrypted));
    words.extend(username.as_ref().map(|name| format!("--user {}", quoted(name))));
    words.extend(password.as_ref().map(|_| "--askpass".to_owned()));
    words.join(" ")
}

fn to(address: &RedisAddress) -> String {
    match address {
        RedisAddress::Tcp(host, port) => format!("-h {} -p {port}", quoted(host)),
        RedisAddress::Unix(socket) => format!("-s {}", path(socket)),
    }
}

/// Asks the first of the Sentinels where the primary is, in words that `redis-cli` takes.
fn ask(SentinelSettings { addresses, primary, access }: &SentinelSettings) -> String {
    let Access { username, password, tls, .. } = access;
    let mut words = vec!["redis-cli".to_owned()];
    words.extend(addresses.first().map(to));
    words.extend(tls.as_ref().map(encrypted));
    words.extend(username.as_ref().map(|name| format!("--user {}", quoted(name))));
    // Asked for, it would be mixed up with the answer.
    words.extend(
        password.as_ref().map(|_| "--no-auth-warning -a \"$SENTINEL_PASSWORD\"".to_owned()),
    );
    words.push(format!("SENTINEL GET-MASTER-ADDR-BY-NAME {}", quoted(primary)));
    format!("{} | xargs printf -- '-h %s -p %s'", words.join(" "))
}

fn encrypted(Tls { ca, own }: &Tls) -> String {
    let mut words = vec!["--tls".to_owned()];
    words.extend(ca.as_deref().map(|ca| format!("--cacert {}", path(ca))));
    let own = own.as_ref();
    words.extend(own.map(|(cert, key)| format!("--cert {} --key {}", path(cert), path(key))));
    words.join(" ")
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._:-".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use zhongkong_core::credential::Kind;

    use super::*;
    use crate::config::Replicas;

    fn redis(address: RedisAddress, access: Access) -> RedisConfig {
        RedisConfig {
            deployment: Deployment::Server(address),
            access,
            prefix: "shop:zk".to_owned(),
            replicas: Replicas::Auto,
        }
    }

    #[test]
    fn each_name_bears_the_prefix_and_has_a_line_for_a_shell() {
        let redis = redis(
            RedisAddress::Tcp("store".to_owned(), 6380),
            Access {
                database: 2,
                username: Some("shop".to_owned()),
                password: Some("s3cret".into()),
                tls: None,
            },
        );
        let unit = |kind| Unit { id: "wx1".parse().unwrap(), kind };
        let units = [Kind::AccessToken, Kind::WxCardTicket].map(unit);
        let entries = entries(&redis, &units, Language::English);
        let lines: Vec<&str> = entries.iter().map(|entry| entry.command.as_str()).collect();
        let client = "redis-cli -h store -p 6380 -n 2 --user shop --askpass";
        assert_eq!(
            lines,
            [
                format!("{client} GET 'shop:zk:{{wx1}}:access_token'"),
                format!("{client} GET 'shop:zk:{{wx1}}:wx_card_ticket'"),
                format!(
                    "{client} XADD shop:zk:reports MAXLEN '~' 10000 '*' id wx1 kind access_token fingerprint FINGERPRINT"
                ),
                format!("{client} SUBSCRIBE shop:zk:events"),
            ]
        );
        assert!(lines.iter().all(|line| !line.contains("s3cret")));
    }

    #[test]
    fn a_socket_and_an_odd_name_are_what_a_shell_takes_them_for() {
        let username = Some("the shop's".to_owned());
        let access = Access { database: 3, username, ..Access::default() };
        let redis = redis(RedisAddress::Unix("/run/redis.sock".into()), access);
        assert_eq!(client(&redis), r"redis-cli -s /run/redis.sock -n 3 --user 'the shop'\''s'");
    }

    #[test]
    fn a_primary_that_sentinels_name_is_asked_for_first() {
        let sentinels = SentinelSettings {
            addresses: vec![RedisAddress::Tcp("h1".to_owned(), 26379)],
            primary: "mymaster".to_owned(),
            access: Access { password: Some("s3cret".into()), ..Access::default() },
        };
        let redis = RedisConfig {
            deployment: Deployment::Sentinel(sentinels),
            ..redis(RedisAddress::Unix("/".into()), Access { database: 2, ..Access::default() })
        };
        assert_eq!(
            client(&redis),
            "redis-cli $(redis-cli -h h1 -p 26379 --no-auth-warning -a \"$SENTINEL_PASSWORD\" \
             SENTINEL GET-MASTER-ADDR-BY-NAME mymaster | xargs printf -- '-h %s -p %s') -n 2"
        );
    }

    #[test]
    fn an_encrypted_connection_names_its_files() {
        let line = |tls| {
            let access = Access { tls: Some(tls), ..Access::default() };
            client(&redis(RedisAddress::Tcp("::1".to_owned(), 6380), access))
        };
        assert_eq!(line(Tls::default()), "redis-cli -h ::1 -p 6380 --tls");
        let own = Some(("/tls/own.pem".into(), "/tls/own.key".into()));
        assert_eq!(
            line(Tls { ca: Some("/tls/our ca.pem".into()), own }),
            "redis-cli -h ::1 -p 6380 --tls --cacert '/tls/our ca.pem' --cert /tls/own.pem --key /tls/own.key"
        );
    }
}

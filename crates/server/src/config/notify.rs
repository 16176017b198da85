//! The list `[[notify]]`: who is told when a person is needed.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;
use zhongkong_core::clock::millis;
use zhongkong_core::credential::WorkerName;
use zhongkong_notify::{Language, Problem, Rules, Type};

use super::basics::http_url;
use super::credentials::is_loopback;
use super::error::suggest;
use super::keys::NOTIFY;
use super::secret::{SecretSource, secret};
use super::section::Section;
use super::value::Raw;

/// The most receivers.
const RECEIVERS_MAX: usize = 20;

/// A receiver of notifications.
#[derive(Clone)]
pub struct NotifyConfig {
    /// Its name, for people and in Redis.
    pub name: String,
    /// What it is.
    pub kind: Type,
    /// Where it is, with the key that lets one send.
    pub url: SecretSource,
    /// What signs the messages.
    pub secret: Option<SecretSource>,
    /// In which language it is told.
    pub language: Language,
    /// The proxy on the way there; may hold a password.
    pub proxy: Option<Url>,
    /// Of what it is told, and when.
    pub rules: Rules,
}

/// Without the proxy's user and password.
impl fmt::Debug for NotifyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = self.proxy.as_ref().map(|url| (url.host_str(), url.port_or_known_default()));
        f.debug_struct("NotifyConfig")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("url", &self.url)
            .field("secret", &self.secret)
            .field("language", &self.language)
            .field("proxy", &proxy)
            .field("rules", &self.rules)
            .finish()
    }
}

/// The receivers in the main file.
pub(super) fn read(root: &Section<'_>) -> Vec<NotifyConfig> {
    let entries = root.sections(&NOTIFY, RECEIVERS_MAX);
    let receivers: Vec<_> =
        entries.iter().filter_map(|entry| Some((entry, receiver(entry)?))).collect();
    let mut names = HashMap::new();
    for (entry, receiver) in &receivers {
        if let Some(earlier) = names.insert(receiver.name.as_str(), *entry) {
            let there = entry.place_of("name").refer_to(&earlier.place_of("name"));
            entry.problem("name", &format!("the same as {}, {there}", earlier.key("name")));
        }
    }
    receivers.into_iter().map(|(_, receiver)| receiver).collect()
}

fn receiver(entry: &Section<'_>) -> Option<NotifyConfig> {
    let name = entry.read("name", |raw| {
        let name = WorkerName::try_from(raw.text()?.to_owned());
        let name = name.map_err(|_| "must be 1 to 64 characters of A-Z a-z 0-9 . _ -".to_owned());
        name.map(|name| name.to_string())
    });
    let name = entry.required("name", name);
    let kind = entry.required("type", entry.read("type", |raw| raw.choice(&Type::ALL)));
    let url = entry.required("url", secret(entry, "url"));
    if let Some((_, text)) = &url {
        look_at(entry, text);
    }
    let secret = secret(entry, "secret").map(|(source, _)| source);
    match kind {
        Some(Type::Webhook) if !entry.has("secret") => {
            let what = "a webhook needs one: without a signature, its receiver could not tell who sent a message";
            entry.problem("secret", what);
        }
        Some(Type::WeCom) if entry.has("secret") => {
            entry.problem("secret", "WeCom's robots know no signature; remove it");
        }
        _ => {}
    }
    let languages = [("en", Language::English), ("zh", Language::Chinese)];
    let language = entry.read("language", |raw| raw.choice(&languages));
    let proxy = entry.read("proxy", |raw| http_url(raw.text()?));
    if proxy.as_ref().is_some_and(|url| url.password().is_some()) {
        entry.warn(
            "proxy",
            "a password in plain text; let the proxy know this machine by its address",
        );
    }
    let rules = rules(entry, kind);
    Some(NotifyConfig {
        name: name?,
        kind: kind?,
        url: url?.0,
        secret,
        language: language.unwrap_or(Language::English),
        proxy,
        rules: rules?,
    })
}

/// What is wrong with the address in `text`; it is never repeated.
fn look_at(entry: &Section<'_>, text: &SecretString) {
    match http_url(text.expose_secret()) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            entry.problem("url", "must hold no user and no password");
        }
        Ok(url) if url.scheme() == "http" && !is_loopback(&url) => {
            entry.warn("url", "http: the key in it crosses the network in plain text; use https");
        }
        Ok(_) => {}
        Err(what) => entry.problem("url", &what),
    }
}

fn rules(entry: &Section<'_>, kind: Option<Type>) -> Option<Rules> {
    let only = entry.read("only", problems);
    let all = || Problem::ALL.into_iter().collect();
    if entry.has("only") && only.is_none() {
        return None;
    }
    let time = |key, default: Duration| millis(entry.duration(key).unwrap_or(default));
    Some(Rules {
        only: only.unwrap_or_else(all),
        group_wait_ms: time("group_wait", Duration::from_secs(5)),
        group_interval_ms: time("group_interval", Duration::from_mins(5)),
        over_after_ms: time("over_after", Duration::from_mins(1)),
        again_after_ms: time("again_after", Duration::from_hours(1)),
        repeat_interval_ms: time("repeat_interval", Duration::from_hours(24)),
        a_minute: kind?.a_minute(),
    })
}

/// A list of problems, each by its name.
fn problems(raw: Raw<'_>) -> Result<BTreeSet<Problem>, String> {
    let array = match raw {
        Raw::Item(item) => item.as_array(),
        Raw::Variable(_) => None,
    };
    let names: Option<Vec<&str>> =
        array.and_then(|array| array.iter().map(|name| name.as_str()).collect());
    let names = names.filter(|names| !names.is_empty());
    let names =
        names.ok_or_else(|| "must be a list of problems, such as [\"token_lost\"]".to_owned())?;
    let problem = |name: &str| {
        name.parse().map_err(|()| {
            let known = Problem::ALL.into_iter().map(Problem::as_str);
            format!("unknown problem {name:?}{}", suggest(name, known))
        })
    };
    names.into_iter().map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{ACCOUNT, load_with, loaded, refused, warned};

    fn receiver(kind: &str, more: &str) -> String {
        format!(
            "[[notify]]\nname = \"ops\"\ntype = {kind:?}\nurl = {{ env = \"ROBOT\" }}\n{more}\n"
        )
    }

    fn with(toml: &str, url: &str) -> Vec<NotifyConfig> {
        let loaded = load_with(&format!("{toml}{ACCOUNT}"), [("ROBOT", url)]);
        loaded.unwrap_or_else(|error| panic!("refused:\n{error}")).config.notify
    }

    const ROBOT: &str = "https://robot.example/send?key=s3cret";

    #[test]
    fn a_robot_needs_no_more_than_its_name_its_type_and_its_url() {
        assert!(loaded(ACCOUNT).config.notify.is_empty());
        let receiver = with(&receiver("wecom", ""), ROBOT).remove(0);
        assert_eq!((receiver.name.as_str(), receiver.kind), ("ops", Type::WeCom));
        assert_eq!(receiver.url.read().unwrap().expose_secret(), ROBOT);
        assert_eq!(receiver.language, Language::English);
        assert_eq!(receiver.rules.only.len(), Problem::ALL.len());
        assert_eq!(receiver.rules.repeat_interval_ms, 86_400_000);
        assert!(!format!("{receiver:?}").contains("s3cret"));
    }

    #[test]
    fn everything_can_be_said_of_a_receiver() {
        let more = "secret = { env = \"WX_SECRET\" }\nlanguage = \"zh\"\n\
                    only = [\"token_lost\", \"blocked\"]\nproxy = \"http://egress:3128\"\n\
                    group_wait = \"1s\"\ngroup_interval = \"2s\"\nover_after = \"3s\"\n\
                    again_after = \"4s\"\nrepeat_interval = \"5s\"";
        let receiver = with(&receiver("dingtalk", more), ROBOT).remove(0);
        assert_eq!(receiver.language, Language::Chinese);
        assert!(receiver.secret.is_some() && receiver.proxy.is_some());
        let Rules { only, group_wait_ms, group_interval_ms, over_after_ms, .. } = &receiver.rules;
        assert_eq!(
            only.iter().copied().collect::<Vec<_>>(),
            [Problem::Blocked, Problem::TokenLost]
        );
        assert_eq!([*group_wait_ms, *group_interval_ms, *over_after_ms], [1_000, 2_000, 3_000]);
        assert_eq!(receiver.rules.again_after_ms, 4_000);
        assert_eq!(receiver.rules.repeat_interval_ms, 5_000);
    }

    #[test]
    fn what_is_missing_wrong_or_twice_is_refused_and_a_url_is_never_repeated() {
        let secret = "secret = { env = \"WX_SECRET\" }";
        let plain =
            |url: &str| format!("[[notify]]\nname = \"ops\"\ntype = \"wecom\"\nurl = {url:?}\n");
        let robot = plain(ROBOT);
        for (toml, part) in [
            ("[[notify]]\n".to_owned(), "toml:1: notify[0].name: is required"),
            ("[[notify]]\n".to_owned(), "toml:1: notify[0].url: is required"),
            (receiver("email", ""), "notify[0].type: unknown value \"email\""),
            (robot.replace("ops", "o p"), "notify[0].name: must be 1 to 64 characters"),
            (robot.replace("wecom", "webhook"), "notify[0].secret: a webhook needs one"),
            (format!("{robot}{secret}"), "toml:5: notify[0].secret: WeCom's robots know no"),
            (format!("{robot}only = [\"lost\"]"), "unknown problem \"lost\""),
            (format!("{robot}only = []"), "notify[0].only: must be a list of problems"),
            (format!("{robot}language = \"de\""), "notify[0].language: unknown value"),
            (format!("{robot}group_wait = \"0s\""), "notify[0].group_wait: must be more than zero"),
            (format!("{robot}urll = 1"), "notify[0].urll: unknown key `urll`"),
            (format!("{robot}{robot}"), "toml:6: notify[1].name: the same as notify[0].name"),
            (plain("s3cret"), "toml:4: notify[0].url: must be an address"),
            (plain("ftp://s3cret"), "toml:4: notify[0].url: must begin with http"),
            (plain("https://u:s3cret@h"), "toml:4: notify[0].url: must hold no user"),
        ] {
            refused(&toml, &[part]);
        }
    }

    #[test]
    fn a_url_in_plain_text_or_by_http_is_warned_of() {
        let plain = format!("[[notify]]\nname = \"ops\"\ntype = \"wecom\"\nurl = {ROBOT:?}\n");
        warned(&format!("{plain}{ACCOUNT}"), &["toml:4: notify[0].url: a secret in plain text"]);
        let load =
            |url| load_with(&format!("{}{ACCOUNT}", receiver("wecom", "")), [("ROBOT", url)]);
        let warnings = load("http://robot.example/s3cret").unwrap().warnings;
        assert!(warnings[0].contains("notify[0].url: http: the key in it"), "{warnings:?}");
        assert!(!warnings[0].contains("s3cret"), "{warnings:?}");
        assert_eq!(load("http://127.0.0.1:8080/hook").unwrap().warnings, Vec::<String>::new());
    }
}

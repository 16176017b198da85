//! The list `publish` of a credential: the keys of SDKs that are kept current, too.

use std::collections::HashMap;

use secrecy::{ExposeSecret, SecretString};
use zhongkong_core::credential::Kind;
use zhongkong_layouts::family::{CUSTOM, FAMILIES};
use zhongkong_layouts::{Account, Codec, Family, Format, Layout, Options, Platform};

use super::credentials::CredentialConfig;
use super::error::suggest;
use super::keys::{PUBLISH, SECRET};
use super::secret::secret;
use super::section::Section;
use super::value::Raw;

/// The most entries of one credential.
const PUBLISH_MAX: usize = 64;

/// The keys of one SDK for one token of a credential.
#[derive(Clone, Debug)]
pub struct PublishConfig {
    /// Which token.
    pub kind: Kind,
    /// Its keys.
    pub layout: Layout,
    /// A line of configuration for the services.
    pub line: String,
}

/// The entries of `credential`, whose app id, tickets and secret these are; what is wrong with one leaves it out.
pub(super) fn read(
    credential: &Section<'_>,
    app_id: &str,
    tickets: &[Kind],
    own_secret: Option<&SecretString>,
) -> Vec<PublishConfig> {
    let mut published = Vec::new();
    for (name, entry) in credential.entries(&PUBLISH, PUBLISH_MAX) {
        let Some(family) = family(name, &entry) else { continue };
        let options = options(&entry);
        if family.platform != Platform::WeChat {
            entry.problem_here(&format!(
                "the layout {} is for accounts of {}, and no provider in this version yields their tokens",
                family.name,
                family.platform.as_str()
            ));
            continue;
        }
        let sdk_secret = options.sdk_secret.as_ref().map(ExposeSecret::expose_secret);
        let is_own =
            sdk_secret.is_some() && sdk_secret == own_secret.map(ExposeSecret::expose_secret);
        if family.shows_secret && is_own {
            let what = "is the AppSecret, and would stand in the name of a Redis key for everybody to see; \
                        give the services a dummy, and name that here";
            entry.problem("sdk_secret", what);
            continue;
        }
        for kind in std::iter::once(Kind::AccessToken).chain(tickets.iter().copied()) {
            match Layout::new(family, &Account { app_id, kind }, &options) {
                Ok(layout) if layout.keys.is_empty() => {}
                Ok(layout) => {
                    let line = layout.line(&options);
                    published.push(PublishConfig { kind, layout, line });
                }
                Err(refused) => {
                    entry.problem_here(&refused.to_string());
                    break;
                }
            }
        }
    }
    published
}

fn family(name: Option<&str>, entry: &Section<'_>) -> Option<&'static Family> {
    let name = name.or_else(|| entry.read("layout", Raw::text));
    match name {
        Some(name) if name == CUSTOM.name => Some(&CUSTOM),
        Some(name) => {
            let family = Family::named(name);
            if family.is_none() {
                let known = suggest(name, FAMILIES.iter().map(|family| family.name));
                entry.problem_here(&format!("unknown layout {name:?}{known}"));
            }
            family
        }
        None if entry.has("key") => Some(&CUSTOM),
        None => {
            if !entry.has("layout") {
                let what = "names neither a layout nor a key: { layout = \"wechatpy\" } or { key = \"my:{app_id}\" }";
                entry.problem_here(what);
            }
            None
        }
    }
}

fn options(entry: &Section<'_>) -> Options {
    let text = |key: &str| entry.read(key, |raw| raw.text().map(ToOwned::to_owned));
    let codecs = [("string", Codec::String), ("kryo5", Codec::Kryo5)];
    let formats = [("raw", Format::Raw), ("json", Format::Json), ("php", Format::Php)];
    // In plain text it is a dummy as a rule, and no cause for a warning.
    let sdk_secret = match entry.table_at("sdk_secret", &SECRET) {
        Some(_) => secret(entry, "sdk_secret").map(|(_, text)| text),
        None => text("sdk_secret").map(SecretString::from),
    };
    Options {
        prefix: text("prefix"),
        namespace: text("namespace"),
        sdk_secret,
        codec: entry.read("codec", |raw| raw.choice(&codecs)),
        stable: entry.read("stable", Raw::flag),
        agent_id: text("agent_id"),
        ma_id: text("ma_id"),
        key: text("key"),
        encoding: entry.read("encoding", |raw| raw.choice(&formats)),
        ttl: entry.duration("ttl"),
    }
}

/// Two that write the same key would take it from each other for ever.
pub(super) fn compare(credentials: &[(&Section<'_>, CredentialConfig)], prefix: &str) {
    let mut taken: HashMap<&str, (&Section<'_>, &'static str)> = HashMap::new();
    for (entry, credential) in credentials {
        for PublishConfig { layout, .. } in &credential.publish {
            let name = layout.family.name;
            for key in &layout.keys {
                let key_name = key.name.as_str();
                let what = if !prefix.is_empty() && key_name.starts_with(&format!("{prefix}:")) {
                    format!(
                        "{name}: the key {key_name} is among zhongkong's own, which begin with {prefix}:"
                    )
                } else if !key.has_sound_braces() {
                    format!(
                        "{name}: in the key {key_name}, braces may only be one hash tag such as {{tag}}"
                    )
                } else if let Some((other, other_name)) = taken.insert(key_name, (*entry, name)) {
                    let there = entry.place().refer_to(other.place());
                    format!(
                        "{name}: the key {key_name} is already written by {other_name} of {} {there}; \
                         keep one of them, or give one another prefix",
                        other.name()
                    )
                } else {
                    continue;
                };
                entry.problem("publish", &what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{ACCOUNT, loaded, refused};

    fn with(publish: &str) -> String {
        format!("{ACCOUNT}publish = [{publish}]\n")
    }

    fn keys(publish: &str) -> Vec<String> {
        let credential = loaded(&with(publish)).config.credentials.remove(0);
        let layouts = credential.publish.into_iter().flat_map(|published| published.layout.keys);
        layouts.map(|key| key.name).collect()
    }

    #[test]
    fn names_and_tables_stand_side_by_side_and_may_be_tables_of_their_own() {
        let mixed = keys(
            r#""wxjava-mp", { layout = "easywechat", sdk_secret = "dummy", namespace = "shop" }, { key = "my:{app_id}", encoding = "json", ttl = "1h" }"#,
        );
        let expected = [
            "wx:access_token:wx0123456789abcdef",
            "shop:official_account.access_token.wx0123456789abcdef.dummy.0",
            "my:wx0123456789abcdef",
        ];
        assert_eq!(mixed, expected);
        let tables = format!("{ACCOUNT}[[credentials.publish]]\nlayout = \"wechatpy\"\n");
        assert_eq!(loaded(&tables).config.credentials[0].publish[0].layout.keys.len(), 2);
        assert_eq!(keys(""), Vec::<String>::new());
    }

    #[test]
    fn what_makes_no_layout_is_refused_with_its_place_and_what_would() {
        for (publish, parts) in [
            (
                "\"wechapy\"",
                &["toml:6: credentials[0].publish[0]: ", "did you mean `wechatpy`?"][..],
            ),
            ("7", &["must be a list of names and tables"]),
            ("{}", &["names neither a layout nor a key"]),
            (
                "\"wechatpy\", \"powerwechat\"",
                &["publish[1]: the layout powerwechat needs `sdk_secret`"],
            ),
            ("{ layout = \"wechatpy\", codec = \"kryo5\" }", &["has no `codec` (it has: prefix)"]),
            (
                "{ layout = \"wechatpy\", prefx = \"a\" }",
                &["publish[0].prefx: unknown key", "`prefix`"],
            ),
            ("{ layout = \"wxjava-mp\", codec = \"kryo\" }", &["did you mean `kryo5`?"]),
            ("{ key = \"my\", ttl = \"1s\" }", &["`ttl` must be at least 10s"]),
            ("\"wxjava-cp\"", &["is for accounts of WeCom, and no provider in this version"]),
        ] {
            refused(&with(publish), parts);
        }
    }

    #[test]
    fn the_secret_itself_stands_in_no_key() {
        let own = |layout: &str| {
            with(&format!("{{ layout = \"{layout}\", sdk_secret = {{ env = \"WX_SECRET\" }} }}"))
        };
        refused(&own("easywechat"), &["sdk_secret: is the AppSecret, and would stand in the name"]);
        // A hash of it may, if somebody insists.
        let credential = loaded(&own("powerwechat")).config.credentials.remove(0);
        assert!(!format!("{credential:?}").contains("s3cret"));
    }

    #[test]
    fn two_that_would_write_one_key_are_refused() {
        let message = "credentials[0].publish: wxjava-ma: the key wx:access_token:wx0123456789abcdef is already \
                       written by wxjava-mp of credentials[0] at line 2";
        refused(&with("\"wxjava-mp\", { layout = \"wxjava-ma\", prefix = \"wx\" }"), &[message]);
        let other = ACCOUNT.replace("wx0123456789abcdef", "wx2");
        let twice =
            format!("{}{other}publish = [{{ key = \"one\" }}]\n", with("{ key = \"one\" }"));
        refused(
            &twice,
            &["credentials[1].publish: custom: the key one is already written by custom of"],
        );
        refused(&with("{ key = \"zhongkong:{app_id}\" }"), &["is among zhongkong's own"]);
        refused(&with("{ key = \"a}b\" }"), &["braces may only be one hash tag"]);
    }
}

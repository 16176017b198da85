//! The keys that SDKs read, and how a service with such an SDK is configured.

use zhongkong_layouts::encoding::Encoding;
use zhongkong_layouts::{Key, Layout, Verified};

use super::{Entry, quoted};
use crate::config::PublishConfig;
use crate::language::Language;

/// What is published besides the key that every reader may read.
pub(super) fn entries(publish: &[PublishConfig], client: &str, language: Language) -> Vec<Entry> {
    let mut entries = Vec::new();
    for PublishConfig { layout, line, .. } in publish {
        for (place, key) in layout.keys.iter().enumerate() {
            let read = if key.form() == "hash" { "HGETALL" } else { "GET" };
            entries.push(Entry {
                name: key.name.clone(),
                form: key.form(),
                content: content(layout, key, language),
                command: format!("{client} {read} {}", quoted(&key.name)),
                layout: Some(layout.family.name),
                service: (place == 0).then(|| line.clone()),
            });
        }
    }
    entries
}

fn content(layout: &Layout, key: &Key, language: Language) -> String {
    let family = layout.family;
    let what = in_words(key.encoding, language);
    let ttl = match key.ttl_max {
        Some(ttl) => match language {
            Language::English => {
                format!("; it lives for {} at most", humantime::format_duration(ttl))
            }
            Language::Chinese => format!("；最长存活 {}", humantime::format_duration(ttl)),
        },
        None => String::new(),
    };
    let verified = verified(family.verified, language);
    if family.verified == Verified::Own {
        return format!("{what}{ttl}");
    }
    match language {
        Language::English => format!(
            "{what}, for the layout {}: {} {} ({verified}){ttl}",
            family.name, family.sdk, family.versions
        ),
        Language::Chinese => format!(
            "{what}，布局 {}：{} {}（{verified}）{ttl}",
            family.name, family.sdk, family.versions
        ),
    }
}

const fn in_words(encoding: Encoding, language: Language) -> &'static str {
    match encoding {
        Encoding::Raw => language.say("the token, alone", "仅 token 本身"),
        Encoding::Json => language.say("the token as a JSON string", "JSON 字符串形式的 token"),
        Encoding::Php => language.say("the token as PHP serializes it", "PHP 序列化的 token"),
        Encoding::Kryo5 => language.say(
            "the token as Redisson's Kryo5Codec writes it",
            "Redisson Kryo5Codec 编码的 token",
        ),
        Encoding::Bincode => language.say("the token as bincode writes it", "bincode 编码的 token"),
        Encoding::PhpAnswer(_) => {
            language.say("the platform's answer as a PHP array", "以 PHP 数组序列化的平台应答")
        }
        Encoding::JsonAnswer(_) => {
            language.say("the platform's answer as JSON", "JSON 形式的平台应答")
        }
        Encoding::JsonUntil(..) => {
            language.say("JSON with the token and an end of its life", "含 token 与到期时刻的 JSON")
        }
        Encoding::Fields(..) => language
            .say("the token and an end of its life in two fields", "两个字段：token 与到期时刻"),
        Encoding::Bag(_) => {
            language.say("a bag as JSON, without a secret", "JSON 形式的 Bag，不含密钥")
        }
        Encoding::JsonEnd(_) | Encoding::BincodeEnd => language.say(
            "when the SDK takes the token for expired, later than it is so that it never fetches",
            "SDK 认定 token 过期的时刻；特意晚于实际时刻，使 SDK 不会自行获取",
        ),
    }
}

/// How it is known what an SDK reads.
const fn verified(verified: Verified, language: Language) -> &'static str {
    match verified {
        Verified::Run => language.say(Verified::Run.as_str(), "已用真实客户端验证"),
        Verified::Read => language.say(Verified::Read.as_str(), "仅阅读源码，未验证"),
        Verified::Derived => language.say(Verified::Derived.as_str(), "由序列化器推导，未验证"),
        Verified::Own => language.say(Verified::Own.as_str(), "由你指定"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{ACCOUNT, loaded};

    #[test]
    fn each_key_has_a_command_and_each_sdk_a_line_without_a_secret() {
        let publish =
            "publish = [\"wechatpy\", { layout = \"powerwechat\", sdk_secret = \"hush\" }]";
        let config = loaded(&format!("{ACCOUNT}{publish}\n")).config;
        for language in [Language::English, Language::Chinese] {
            let entries = entries(&config.credentials[0].publish, "redis-cli", language);
            let [token, end, json] = &entries[..] else { panic!("{entries:?}") };
            let name = "wechatpy:wx0123456789abcdef_access_token";
            assert_eq!(token.command, format!("redis-cli GET {name}"));
            assert!(token.content.contains("wechatpy (Python)"), "{}", token.content);
            let line = "WeChatClient(\"wx0123456789abcdef\", \"dummy\", session=RedisStorage(redis, prefix=\"wechatpy\"))";
            assert_eq!((token.service.as_deref(), &end.service), (Some(line), &None));
            assert!(json.service.as_ref().unwrap().contains("Secret: \"<sdk_secret>\""));
            assert!(!format!("{entries:?}").contains("hush"));
        }
    }
}

//! EasyWeChat (PHP): PHP-serialized values under keys that contain the secret (6) or its MD5 (4 and 5).
//!
//! A raw string counts as absent, and the SDK fetches without a word.

use md5::{Digest, Md5};

use zhongkong_core::credential::Kind;

use super::{Family, PLAIN};
use crate::account::{Account, Platform};
use crate::encoding::Encoding::{Php, PhpAnswer};
use crate::layout::Key;
use crate::options::{Options, Setting};

const VERSIONS: &str = "6.19.1 over Symfony Cache 5.4, with and without igbinary";

pub(super) const OFFICIAL_ACCOUNT: Family = Family {
    name: "easywechat",
    sdk: "EasyWeChat 6 (PHP), official account",
    versions: VERSIONS,
    needs: &[Setting::SdkSecret],
    takes: &[Setting::Prefix, Setting::Namespace, Setting::Stable],
    shows_secret: true,
    line: "new EasyWeChat\\OfficialAccount\\Application(['app_id' => '{app_id}', 'secret' => '{secret}', 'use_stable_access_token' => {stable}]) with ->setCache(new Psr16Cache(new RedisAdapter($redis, '{namespace}')))",
    keys: |account, options| match account.kind {
        Kind::AccessToken => flagged("official_account.access_token.", account, options),
        Kind::JsapiTicket => {
            let fixed = format!("{}official_account.jsapi_ticket.", options.cache_prefix());
            vec![Key::new(&fixed, account.app_id, Php)]
        }
        Kind::WxCardTicket => Vec::new(),
    },
    ..PLAIN
};

pub(super) const MINI: Family = Family {
    name: "easywechat-mini",
    sdk: "EasyWeChat 6 (PHP), mini program",
    line: "new EasyWeChat\\MiniApp\\Application(['app_id' => '{app_id}', 'secret' => '{secret}', 'use_stable_access_token' => {stable}]) with ->setCache(new Psr16Cache(new RedisAdapter($redis, '{namespace}')))",
    keys: |account, options| match account.kind {
        Kind::AccessToken => flagged("mini_app.access_token.", account, options),
        Kind::JsapiTicket | Kind::WxCardTicket => Vec::new(),
    },
    ..OFFICIAL_ACCOUNT
};

pub(super) const WORK: Family = Family {
    name: "easywechat-work",
    sdk: "EasyWeChat 6 (PHP), WeCom",
    platform: Platform::WeCom,
    takes: &[Setting::Prefix, Setting::Namespace],
    line: "new EasyWeChat\\Work\\Application(['corp_id' => '{app_id}', 'secret' => '{secret}']) with ->setCache(new Psr16Cache(new RedisAdapter($redis, '{namespace}')))",
    keys: |account, options| match account.kind {
        Kind::AccessToken => {
            let fixed = format!("{}work.access_token.", options.cache_prefix());
            vec![Key::new(&fixed, &format!("{}.{}", account.app_id, options.secret()), Php)]
        }
        Kind::JsapiTicket => {
            let fixed = format!("{}work.jsapi_ticket.", options.cache_prefix());
            vec![Key::new(&fixed, account.app_id, Php)]
        }
        Kind::WxCardTicket => Vec::new(),
    },
    ..OFFICIAL_ACCOUNT
};

/// Key and serialization were run, the class was read.
pub(super) const FIVE: Family = Family {
    name: "easywechat-5",
    sdk: "EasyWeChat 4 and 5 (PHP), official account and mini program",
    versions: "4.9.0 and 5.36.4",
    needs: &[Setting::SdkSecret],
    takes: &[Setting::Prefix, Setting::Namespace],
    line: "Factory::officialAccount(['app_id' => '{app_id}', 'secret' => '{secret}', 'http' => ['max_retries' => 0]]) with $app['cache'] = new Psr16Cache(new RedisAdapter($redis, '{namespace}'))",
    keys: |account, options| {
        five(account, options, ["grant_type\":\"client_credential\",\"appid", "secret"])
    },
    ..PLAIN
};

pub(super) const FIVE_WORK: Family = Family {
    name: "easywechat-5-work",
    sdk: "EasyWeChat 4 and 5 (PHP), WeCom",
    platform: Platform::WeCom,
    line: "Factory::work(['corp_id' => '{app_id}', 'secret' => '{secret}', 'http' => ['max_retries' => 0]]) with $app['cache'] = new Psr16Cache(new RedisAdapter($redis, '{namespace}'))",
    keys: |account, options| five(account, options, ["corpid", "corpsecret"]),
    ..FIVE
};

/// The last part says whether `stable_token` is called.
fn flagged(name: &str, account: &Account<'_>, options: &Options) -> Vec<Key> {
    let stable = u8::from(options.stable.unwrap_or(false));
    let rest = format!("{}.{}.{stable}", account.app_id, options.secret());
    vec![Key::new(&format!("{}{name}", options.cache_prefix()), &rest, Php)]
}

/// The credentials as PHP's `json_encode` writes them: neither part has a character that it would escape.
fn five(account: &Account<'_>, options: &Options, [id, secret]: [&str; 2]) -> Vec<Key> {
    let prefix = options.cache_prefix();
    if let Some(kind) = account.kind.ticket() {
        let fixed = format!("{prefix}easywechat.basic_service.jssdk.ticket.{kind}.");
        return vec![Key::new(&fixed, account.app_id, PhpAnswer("ticket"))];
    }
    let credentials =
        format!("{{\"{id}\":\"{}\",\"{secret}\":\"{}\"}}", account.app_id, options.secret());
    let hash = hex::encode(Md5::digest(credentials));
    let fixed = format!("{prefix}easywechat.kernel.access_token.");
    vec![Key::new(&fixed, &hash, PhpAnswer("access_token"))]
}

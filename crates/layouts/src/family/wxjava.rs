//! WxJava: raw tokens, or what Redisson's codec makes of them; it goes by the key's TTL, and deletes the key when one of
//! its calls was refused.

use zhongkong_core::credential::Kind;

use super::{Family, PLAIN, Verified};
use crate::account::{Account, Platform};
use crate::encoding::Encoding;
use crate::layout::Key;
use crate::options::{Codec, Options, Setting};

const VERSIONS: &str = "4.7.0 and 4.8.2-20260411";

pub(super) const MP: Family = Family {
    name: "wxjava-mp",
    sdk: "WxJava (Java), official account: Jedis, RedisTemplate or Redisson",
    versions: VERSIONS,
    takes: &[Setting::Prefix, Setting::Codec],
    prefix: "wx",
    line: "wx.mp.app-id={app_id}; wx.mp.secret={secret}; wx.mp.config-storage.type=RedisTemplate; wx.mp.config-storage.key-prefix={prefix}",
    keys: |account, options| with_prefix("wx", account, options),
    ..PLAIN
};

/// The mini program's better configuration; the legacy one for Redis has the same access token.
pub(super) const MA: Family = Family {
    name: "wxjava-ma",
    sdk: "WxJava (Java), mini program: Jedis or RedisTemplate (WxMaRedisBetterConfigImpl)",
    takes: &[Setting::Prefix],
    prefix: "wa",
    line: "wx.miniapp.appid={app_id}; wx.miniapp.secret={secret}; wx.miniapp.config-storage.type=RedisTemplate; wx.miniapp.config-storage.key-prefix={prefix}",
    keys: |account, options| with_prefix("wa", account, options),
    ..MP
};

pub(super) const MA_REDISSON: Family = Family {
    name: "wxjava-ma-redisson",
    sdk: "WxJava (Java), mini program: Redisson",
    takes: &[Setting::Prefix, Setting::Codec],
    prefix: "wa",
    line: "wx.miniapp.appid={app_id}; wx.miniapp.secret={secret}; wx.miniapp.config-storage.type=Redisson; wx.miniapp.config-storage.key-prefix={prefix}",
    keys: ma_redisson,
    ..MP
};

pub(super) const MA_LEGACY: Family = Family {
    name: "wxjava-ma-legacy",
    sdk: "WxJava (Java), mini program: WxMaRedisConnectionConfigImpl",
    versions: VERSIONS,
    takes: &[Setting::MaId],
    line: "new WxMaRedisConnectionConfigImpl(connectionFactory) with appid {app_id} and secret {secret}",
    keys: ma_legacy,
    ..PLAIN
};

pub(super) const CP: Family = Family {
    name: "wxjava-cp",
    sdk: "WxJava (Java), WeCom",
    versions: "4.7.7",
    platform: Platform::WeCom,
    takes: &[Setting::Prefix, Setting::Codec, Setting::AgentId],
    prefix: "wx:cp",
    line: "wx.cp.corp-id={app_id}; wx.cp.corp-secret={secret}; wx.cp.agent-id={agent_id}; wx.cp.config-storage.key-prefix={prefix}",
    keys: cp,
    ..PLAIN
};

/// The component's own token.
pub(super) const OPEN: Family = Family {
    name: "wxjava-open",
    sdk: "WxJava (Java), open platform (storage class)",
    versions: VERSIONS,
    platform: Platform::OpenPlatform,
    takes: &[Setting::Prefix, Setting::Codec],
    prefix: "wx:open",
    line: "wx.open.app-id={app_id}; wx.open.secret={secret}; wx.open.config-storage.key-prefix={prefix}",
    keys: |account, options| match account.kind {
        Kind::AccessToken => {
            let fixed = format!("{}wechat_component_access_token:", options.prefix_or("wx:open"));
            vec![Key::new(&fixed, account.app_id, coded(options, Codec::String))]
        }
        Kind::JsapiTicket | Kind::WxCardTicket => Vec::new(),
    },
    ..PLAIN
};

pub(super) const CHANNEL: Family = Family {
    name: "wxjava-channel",
    sdk: "WxJava (Java), channels (video shop)",
    versions: "4.7.2.B",
    verified: Verified::Read,
    takes: &[Setting::Prefix],
    prefix: "wh",
    line: "wx.channel.app-id={app_id}; wx.channel.secret={secret}; wx.channel.config-storage.key-prefix={prefix}",
    keys: |account, options| match account.kind {
        Kind::AccessToken => with_prefix("wh", account, options),
        Kind::JsapiTicket | Kind::WxCardTicket => Vec::new(),
    },
    ..PLAIN
};

/// Where the colon stands even behind an empty prefix.
fn with_prefix(default: &str, account: &Account<'_>, options: &Options) -> Vec<Key> {
    let prefix = options.prefix.as_deref().unwrap_or(default);
    let (app_id, encoding) = (account.app_id, coded(options, Codec::String));
    match account.kind.ticket() {
        None => vec![Key::new(&format!("{prefix}:access_token:"), app_id, encoding)],
        Some(kind) => {
            vec![Key::new(&format!("{prefix}:ticket:key:"), &format!("{app_id}:{kind}"), encoding)]
        }
    }
}

fn ma_redisson(account: &Account<'_>, options: &Options) -> Vec<Key> {
    let name = match account.kind {
        Kind::AccessToken => "wechat_ma_access_token_key",
        Kind::JsapiTicket => "wechat_ma_jsapi_ticket_key",
        Kind::WxCardTicket => "wechat_ma_card_api_ticket_key",
    };
    let fixed = format!("{}{name}:", options.prefix_or("wa"));
    vec![Key::new(&fixed, account.app_id, coded(options, Codec::Kryo5))]
}

fn ma_legacy(account: &Account<'_>, options: &Options) -> Vec<Key> {
    let name = match account.kind {
        Kind::AccessToken => "accessToken",
        Kind::JsapiTicket => "jsapiTicket",
        Kind::WxCardTicket => "cardApiTicket",
    };
    let ma = options.ma_id.as_ref().map(|ma| format!("{ma}:")).unwrap_or_default();
    vec![Key::new("maConfig:", &format!("{ma}{name}"), Encoding::Fields("value", "expire"))]
}

fn cp(account: &Account<'_>, options: &Options) -> Vec<Key> {
    let agent = options.agent_id.as_ref().map(|agent| format!(":{agent}")).unwrap_or_default();
    let name = match account.kind {
        Kind::AccessToken => "wechat_cp_access_token_key",
        Kind::JsapiTicket => "wechat_cp_jsapi_ticket_key",
        Kind::WxCardTicket => return Vec::new(),
    };
    let fixed = format!("{}{name}:", options.prefix_or("wx:cp"));
    let rest = format!("{}{agent}", account.app_id);
    vec![Key::new(&fixed, &rest, coded(options, Codec::String))]
}

fn coded(options: &Options, default: Codec) -> Encoding {
    match options.codec.unwrap_or(default) {
        Codec::String => Encoding::Raw,
        Codec::Kryo5 => Encoding::Kryo5,
    }
}

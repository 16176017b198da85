//! silenceper/wechat (Go): raw tokens; the secret is in no key.

use zhongkong_core::credential::Kind;

use super::{Family, PLAIN, Verified};
use crate::account::{Account, Platform};
use crate::encoding::Encoding::Raw;
use crate::layout::Key;
use crate::options::{Options, Setting};

const VERSIONS: &str = "v2.1.6 and eight commits of 2024-02";

/// Its prefix ends with an underscore and the name begins with one.
pub(super) const OFFICIAL_ACCOUNT: Family = Family {
    name: "silenceper",
    sdk: "silenceper/wechat (Go), official account",
    versions: VERSIONS,
    line: "wc.GetOfficialAccount(&offConfig.Config{AppID: \"{app_id}\", AppSecret: \"{secret}\", Cache: cache.NewRedis(ctx, redisOpts)})",
    keys: |account, _| match account.kind {
        Kind::AccessToken => one("gowechat_officialaccount__access_token_", account.app_id),
        Kind::JsapiTicket => one("gowechat_officialaccount__jsapi_ticket_", account.app_id),
        Kind::WxCardTicket => Vec::new(),
    },
    ..PLAIN
};

pub(super) const MINI: Family = Family {
    name: "silenceper-mini",
    sdk: "silenceper/wechat (Go), mini program",
    versions: VERSIONS,
    line: "wc.GetMiniProgram(&miniConfig.Config{AppID: \"{app_id}\", AppSecret: \"{secret}\", Cache: cache.NewRedis(ctx, redisOpts)})",
    keys: |account, _| token("gowechat_miniprogram__access_token_", account),
    ..PLAIN
};

pub(super) const STABLE: Family = Family {
    name: "silenceper-stable",
    sdk: "silenceper/wechat (Go), official account, UseStableAK or NewStableAccessToken",
    versions: VERSIONS,
    line: "wc.GetOfficialAccount(&offConfig.Config{AppID: \"{app_id}\", AppSecret: \"{secret}\", UseStableAK: true, Cache: cache.NewRedis(ctx, redisOpts)})",
    keys: |account, _| match account.kind {
        Kind::AccessToken => one("gowechat_officialaccount__stable_access_token_", account.app_id),
        // Tickets stand where they do without it: that layout has them.
        Kind::JsapiTicket | Kind::WxCardTicket => Vec::new(),
    },
    ..PLAIN
};

pub(super) const MINI_STABLE: Family = Family {
    name: "silenceper-mini-stable",
    sdk: "silenceper/wechat (Go), mini program, UseStableAK or NewStableAccessToken",
    versions: VERSIONS,
    line: "wc.GetMiniProgram(&miniConfig.Config{AppID: \"{app_id}\", AppSecret: \"{secret}\", UseStableAK: true, Cache: cache.NewRedis(ctx, redisOpts)})",
    keys: |account, _| token("gowechat_miniprogram__stable_access_token_", account),
    ..PLAIN
};

/// Without an agent id the form that was run; with one the newer form, which was only read.
pub(super) const WORK: Family = Family {
    name: "silenceper-work",
    sdk: "silenceper/wechat (Go), WeCom",
    versions: VERSIONS,
    verified: Verified::Run,
    platform: Platform::WeCom,
    takes: &[Setting::AgentId],
    line: "wc.GetWork(&workConfig.Config{CorpID: \"{app_id}\", CorpSecret: \"{secret}\", AgentID: \"{agent_id}\", Cache: cache.NewRedis(ctx, redisOpts)})",
    keys: work,
    ..PLAIN
};

fn work(account: &Account<'_>, options: &Options) -> Vec<Key> {
    let agent = options.agent_id.as_ref().map(|agent| format!("_{agent}")).unwrap_or_default();
    let rest = format!("{}{agent}", account.app_id);
    match account.kind {
        Kind::AccessToken => one("gowechat_work__access_token_", &rest),
        Kind::JsapiTicket if agent.is_empty() => one("gowechat_work__corp_jsapi_ticket_", &rest),
        Kind::JsapiTicket => one("gowechat_work__agent_jsapi_ticket_", &rest),
        Kind::WxCardTicket => Vec::new(),
    }
}

fn token(fixed: &str, account: &Account<'_>) -> Vec<Key> {
    if account.kind == Kind::AccessToken { one(fixed, account.app_id) } else { Vec::new() }
}

fn one(fixed: &str, rest: &str) -> Vec<Key> {
    vec![Key::new(fixed, rest, Raw)]
}

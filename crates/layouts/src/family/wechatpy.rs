//! wechatpy (Python): a JSON string, and for 2.0 a second key that says when it ends.
//!
//! 2.0 fetches within its last minute, and counts a ticket without an end as expired; 1.8 keeps ends in memory.

use zhongkong_core::credential::Kind;

use super::{Family, PLAIN, Verified};
use crate::account::{Account, Platform};
use crate::encoding::Encoding::{Json, JsonEnd};
use crate::layout::Key;
use crate::options::{Options, Setting};

/// It fetches so long before the end, in seconds.
const MARGIN_S: u64 = 60;

pub(super) const WECHATPY: Family = Family {
    name: "wechatpy",
    sdk: "wechatpy (Python), official account and mini program",
    versions: "1.8.18 and 2.0.0a26",
    takes: &[Setting::Prefix],
    prefix: "wechatpy",
    line: "WeChatClient(\"{app_id}\", \"{secret}\", session=RedisStorage(redis, prefix=\"{prefix}\"))",
    keys: |account, options| {
        let name = match account.kind {
            Kind::AccessToken => "access_token",
            Kind::JsapiTicket => "jsapi_ticket",
            Kind::WxCardTicket => "jsapi_card_ticket",
        };
        let token = format!("{}_{name}", account.app_id);
        both(options, &token, &format!("{token}_expires_at"))
    },
    ..PLAIN
};

/// All agents of a corporation share the second key.
pub(super) const WORK: Family = Family {
    name: "wechatpy-work",
    sdk: "wechatpy (Python), WeCom",
    versions: "1.8.18 and 2.0.0a26",
    verified: Verified::Read,
    platform: Platform::WeCom,
    needs: &[Setting::SdkSecret],
    takes: &[Setting::Prefix],
    shows_secret: true,
    prefix: "wechatpy",
    line: "WeChatClient(\"{app_id}\", \"{secret}\", session=RedisStorage(redis, prefix=\"{prefix}\"))",
    keys: work,
};

fn work(account: &Account<'_>, options: &Options) -> Vec<Key> {
    if account.kind != Kind::AccessToken {
        return Vec::new();
    }
    let secret = options.secret();
    // Ten characters of it, all of them ASCII.
    let start = secret.get(..10).unwrap_or(secret);
    let (id, name) = (account.app_id, "access_token");
    both(options, &format!("{id}_{start}_{name}"), &format!("{id}_{name}_expires_at"))
}

fn both(options: &Options, token: &str, end: &str) -> Vec<Key> {
    let fixed = options.prefix_or("wechatpy");
    vec![Key::new(&fixed, token, Json), Key::new(&fixed, end, JsonEnd(MARGIN_S))]
}

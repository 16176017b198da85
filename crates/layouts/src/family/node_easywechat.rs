//! node-easywechat (Node): plain strings through a cache that the service brings, under keys that contain the secret.

use zhongkong_core::credential::Kind;

use super::{Family, PLAIN};
use crate::account::Account;
use crate::encoding::Encoding::Raw;
use crate::layout::Key;
use crate::options::{Options, Setting};

pub(super) const OFFICIAL_ACCOUNT: Family = Family {
    name: "node-easywechat",
    sdk: "node-easywechat (Node), official account",
    versions: "3.6.2, with node-socialite 1.4.1",
    needs: &[Setting::SdkSecret],
    takes: &[Setting::Prefix, Setting::Stable],
    shows_secret: true,
    line: "new OfficialAccount({ app_id: '{app_id}', secret: '{secret}', use_stable_access_token: {stable} }).setCache(yours), whose get(key) returns what redis.get('{prefix}' + key) does",
    keys: |account, options| match account.kind {
        Kind::AccessToken => flagged("official_account.access_token.", account, options),
        Kind::JsapiTicket => {
            let prefix = options.prefix.as_deref().unwrap_or_default();
            let fixed = format!("{prefix}official_account.jsapi_ticket.");
            vec![Key::new(&fixed, account.app_id, Raw)]
        }
        Kind::WxCardTicket => Vec::new(),
    },
    ..PLAIN
};

pub(super) const MINI: Family = Family {
    name: "node-easywechat-mini",
    sdk: "node-easywechat (Node), mini program",
    line: "new MiniApp({ app_id: '{app_id}', secret: '{secret}', use_stable_access_token: {stable} }).setCache(yours), whose get(key) returns what redis.get('{prefix}' + key) does",
    keys: |account, options| match account.kind {
        Kind::AccessToken => flagged("mini_app.access_token.", account, options),
        Kind::JsapiTicket | Kind::WxCardTicket => Vec::new(),
    },
    ..OFFICIAL_ACCOUNT
};

/// The last part says whether `stable_token` is called.
fn flagged(name: &str, account: &Account<'_>, options: &Options) -> Vec<Key> {
    let stable = u8::from(options.stable.unwrap_or(false));
    let fixed = format!("{}{name}", options.prefix.as_deref().unwrap_or_default());
    let rest = format!("{}.{}.{stable}", account.app_id, options.secret());
    vec![Key::new(&fixed, &rest, Raw)]
}

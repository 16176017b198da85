//! ArtisanCloud/PowerWeChat (Go): a JSON object under an MD5 of app id and secret.
//!
//! The object must have a numeric `expires_in`, or the client panics; it decides nothing.

use md5::{Digest, Md5};

use super::{Family, PLAIN};
use crate::account::{Account, Platform};
use crate::encoding::Encoding::JsonAnswer;
use crate::layout::Key;
use crate::options::{Options, Setting};

pub(super) const POWERWECHAT: Family = Family {
    name: "powerwechat",
    sdk: "ArtisanCloud/PowerWeChat (Go), official account and mini program",
    versions: "v3.2.58",
    needs: &[Setting::SdkSecret],
    line: "officialAccount.UserConfig{AppID: \"{app_id}\", Secret: \"{secret}\", Cache: kernel.NewRedisClient(redisOpts)}",
    keys,
    ..PLAIN
};

pub(super) const WORK: Family = Family {
    name: "powerwechat-work",
    sdk: "ArtisanCloud/PowerWeChat (Go), WeCom",
    platform: Platform::WeCom,
    line: "work.UserConfig{CorpID: \"{app_id}\", Secret: \"{secret}\", Cache: kernel.NewRedisClient(redisOpts)}",
    ..POWERWECHAT
};

fn keys(account: &Account<'_>, options: &Options) -> Vec<Key> {
    let Some(kind) = account.kind.ticket() else {
        let hash = hex::encode(Md5::digest(format!("{}{}", account.app_id, options.secret())));
        return vec![Key::new("powerwechat.access_token.", &hash, JsonAnswer("access_token"))];
    };
    let fixed = format!("powerwechat.basic_service.jssdk.ticket.{kind}.");
    vec![Key::new(&fixed, account.app_id, JsonAnswer("ticket"))]
}

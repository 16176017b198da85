//! Senparc.Weixin (C#): a bag as JSON. Only partly of use: it overwrites the bag at each start of a service.

use zhongkong_core::credential::Kind;

use super::{Family, PLAIN, Verified};
use crate::account::Account;
use crate::encoding::{Bag, Encoding};
use crate::layout::Key;
use crate::options::{Options, Setting};

pub(super) const OFFICIAL_ACCOUNT: Family = Family {
    name: "senparc",
    sdk: "Senparc.Weixin.MP (C#), RedisObjectCacheStrategy",
    versions: "2026-08",
    verified: Verified::Read,
    takes: &[Setting::Namespace],
    line: "pass the token itself: each API takes accessTokenOrAppId; or AccessTokenContainer.RegisterAsync(\"{app_id}\", \"{secret}\") with the Redis cache",
    keys: |account, options| {
        let (bag, encoding) = match account.kind {
            Kind::AccessToken => ("MP.Containers.AccessTokenBag", Bag::ACCESS_TOKEN),
            Kind::JsapiTicket => (
                "MP.Containers.JsApiTicketBag",
                ticket("JsApiTicketExpireTime", "JsApiTicketResult"),
            ),
            Kind::WxCardTicket => (
                "MP.Containers.WxCardApiTicketBag",
                ticket("WxCardApiTicketExpireTime", "WxCardApiTicketResult"),
            ),
        };
        key(account, options, bag, encoding)
    },
    ..PLAIN
};

pub(super) const MINI: Family = Family {
    name: "senparc-mini",
    sdk: "Senparc.Weixin.WxOpen (C#), RedisObjectCacheStrategy",
    keys: |account, options| match account.kind {
        Kind::AccessToken => {
            let encoding =
                Bag { app_id: "WxOpenAppId", app_secret: "WxOpenAppSecret", ..Bag::ACCESS_TOKEN };
            key(account, options, "WxOpen.Containers.AccessTokenBag", encoding)
        }
        Kind::JsapiTicket | Kind::WxCardTicket => Vec::new(),
    },
    ..OFFICIAL_ACCOUNT
};

const fn ticket(until: &'static str, result: &'static str) -> Bag {
    Bag { until, result, token: "ticket", ..Bag::ACCESS_TOKEN }
}

fn key(account: &Account<'_>, options: &Options, bag: &str, encoding: Bag) -> Vec<Key> {
    let namespace = options.namespace.as_deref().unwrap_or("DefaultCache");
    let fixed = format!("Senparc:{namespace}:Container:Senparc.Weixin.{bag}:");
    vec![Key::new(&fixed, account.app_id, Encoding::Bag(encoding))]
}

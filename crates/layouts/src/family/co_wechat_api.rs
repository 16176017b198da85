//! co-wechat-api and wechat-api (Node): the service brings getToken and saveToken, and so the key; the shape is the library's.

use zhongkong_core::credential::Kind;

use super::{Family, PLAIN};
use crate::encoding::Encoding::JsonUntil;
use crate::encoding::Until::Millis;
use crate::options::Setting;

pub(super) const CO_WECHAT_API: Family = Family {
    name: "co-wechat-api",
    sdk: "co-wechat-api and wechat-api (Node)",
    versions: "3.11.0 and 1.35.1",
    needs: &[Setting::Key],
    line: "new WechatAPI('{app_id}', '{secret}', async () => JSON.parse(await redis.get(key)), async () => {}); api.tokenFromCustom = true",
    keys: |account, options| {
        let named = match account.kind {
            Kind::AccessToken => "accessToken",
            Kind::JsapiTicket | Kind::WxCardTicket => "ticket",
        };
        super::custom::key(account, options, JsonUntil(named, "expireTime", Millis))
    },
    ..PLAIN
};

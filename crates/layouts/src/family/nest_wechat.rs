//! nest-wechat (Node): JSON whose `expires_in` is an instant.

use zhongkong_core::credential::Kind;

use super::{Family, PLAIN};
use crate::encoding::Encoding::JsonUntil;
use crate::encoding::Until::Seconds;
use crate::layout::Key;

pub(super) const NEST_WECHAT: Family = Family {
    name: "nest-wechat",
    sdk: "nest-wechat (Node)",
    versions: "0.2.50, over cache-manager 4 and ioredis",
    line: "WeChatModule.register({ appId: '{app_id}', secret: '{secret}', cacheAdapter: new RedisCache(cacheManager) })",
    keys: |account, _| match account.kind {
        Kind::AccessToken => {
            let encoding = JsonUntil("access_token", "expires_in", Seconds);
            vec![Key::new("nest-wechat:key_access_token_", account.app_id, encoding)]
        }
        Kind::JsapiTicket => {
            let encoding = JsonUntil("ticket", "expires_in", Seconds);
            vec![Key::new("nest-wechat:key_ticket_", account.app_id, encoding)]
        }
        Kind::WxCardTicket => Vec::new(),
    },
    ..PLAIN
};

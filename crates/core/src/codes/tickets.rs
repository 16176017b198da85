//! What each code means when a ticket was asked for: the call carries an access token, and nothing else.
//!
//! The codes of addresses, quotas and frozen accounts mean what they mean at a token endpoint. That 40001 says that the
//! access token is dead is the experience of the SDKs, which fetch another and ask once more.

use super::{
    DAY_QUOTA, MINUTE_QUOTA, OTHER, Ruling, SYSTEM_BUSY, Text, Wait, known, token_is_dead,
};
use crate::refusal::{Scope, Status};

/// What the refusal `code` of a ticket leads to, if the table has it.
pub(super) const fn known_of_tickets(code: i64) -> Option<Ruling> {
    Some(match code {
        _ if token_is_dead(code) => STALE_TOKEN,
        48001 | 48004 => NOT_ALLOWED,
        45009 => DAY_QUOTA_OF_TICKETS,
        45011 => MINUTE_QUOTA_OF_TICKETS,
        40013 | 40097 | 41001 => REJECTED,
        40164 | 61004 | 89501..=89507 | 40243 | 50002 | 50004 | 50007 => return known(code),
        SYSTEM_BUSY => BUSY,
        _ => return None,
    })
}

const STALE_TOKEN: Ruling = Ruling {
    scope: Scope::Configuration,
    status: Status::Retrying,
    wait: Wait::Poll { up_to: 10 },
    meaning: Text {
        en: "the access token that the ticket was asked for with was rejected",
        zh: "获取 ticket 所用的 access_token 被拒绝",
    },
    advice: Text {
        en: "nothing: the workers have reported that token, and ask again as soon as there is another. If it lasts, look at the \
             access token's own status",
        zh: "无需处理：worker 已上报该 token，更换后会立即重试；若持续出现，请查看 access_token 的状态",
    },
};

const NOT_ALLOWED: Ruling = Ruling {
    scope: Scope::Account,
    status: Status::Misconfigured,
    wait: Wait::Pause { times: 60 },
    meaning: Text {
        en: "this account may not fetch such a ticket",
        zh: "该账号没有获取此 ticket 的权限",
    },
    advice: Text {
        en: "look at the permissions and notices in the account's console, or remove the ticket from `tickets` in the \
             configuration; the access token is not at fault",
        zh: "请在公众平台后台查看接口权限与通知，或从配置的 `tickets` 中去掉它；与 access_token 无关",
    },
};

const DAY_QUOTA_OF_TICKETS: Ruling = Ruling {
    meaning: Text {
        en: "the account's daily quota of ticket calls is spent",
        zh: "该账号当日获取 ticket 的次数已用尽",
    },
    advice: Text {
        en: "look for another program that fetches tickets of this account by itself: workers do about once an hour. The quota \
             can be cleared ten times a month",
        zh: "请排查是否有其他程序自行获取该账号的 ticket：worker 约每小时一次。每月可清零十次",
    },
    ..DAY_QUOTA
};

const MINUTE_QUOTA_OF_TICKETS: Ruling = Ruling {
    meaning: Text {
        en: "the account's quota of ticket calls a minute is spent",
        zh: "该账号每分钟获取 ticket 的次数已用尽",
    },
    advice: Text {
        en: "nothing; if it comes back, look for another program that fetches tickets of this account by itself",
        zh: "无需处理；若反复出现，请排查是否有其他程序自行获取 ticket",
    },
    ..MINUTE_QUOTA
};

const REJECTED: Ruling = Ruling {
    meaning: Text {
        en: "the platform rejects the form of the request for a ticket",
        zh: "平台拒绝了获取 ticket 的请求格式",
    },
    advice: Text {
        en: "check app_id, provider and base_url in the configuration: what stands there may know no tickets",
        zh: "请检查配置中的 app_id、provider 和 base_url：对方可能不提供 ticket",
    },
    ..NOT_ALLOWED
};

const BUSY: Ruling = Ruling {
    meaning: Text { en: "the platform is busy", zh: "系统繁忙" },
    advice: Text {
        en: "nothing; the worker asks again, and the ticket that readers have lives on",
        zh: "无需处理；worker 会重试，现有 ticket 继续有效",
    },
    ..OTHER
};

//! What each error code of WeChat's token endpoints means, whom it concerns, and what follows from it; `tickets`: likewise
//! of the call for a ticket; and what some codes mean to readers, in their calls with a token.
//!
//! The codes and their meanings are the platform's own documentation of `cgi-bin/token` and `cgi-bin/stable_token`,
//! and for 61004 and 895xx what callers have met.

mod tickets;

use std::time::Duration;

use crate::credential::Kind;
use crate::policy::{self, Random};
use crate::refusal::{Scope, Status};

/// "System busy": whether a token was issued is unknown (rule R4).
pub const SYSTEM_BUSY: i64 = -1;

/// What a refusal leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Whom it concerns.
    pub scope: Scope,
    /// What it is called.
    pub status: Status,
    /// When it is tried again.
    pub wait: Wait,
    /// What happened, for people.
    pub meaning: Text,
    /// What a person should do.
    pub advice: Text,
}

/// What a code says to a reader. No worker makes the call, so none rules on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What happened, for people.
    pub meaning: Text,
    /// What the reader, or a person, should do.
    pub advice: Text,
}

/// The two languages of our users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// English.
    pub en: &'static str,
    /// Chinese.
    pub zh: &'static str,
}

/// When a refusal is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Exponential backoff with full jitter, 1 s to 60 s.
    Backoff,
    /// When the upstream's next minute has begun.
    NextMinute,
    /// When the upstream's next day has begun.
    NextDay,
    /// At a gentle pace: the configured `human_poll`, doubling up to so many times that.
    Poll {
        /// The longest wait, as a multiple of `human_poll`.
        up_to: u32,
    },
    /// After a pause of so many times `human_poll`, unless the configuration changes or an operator asks before.
    Pause {
        /// The multiple.
        times: u32,
    },
    /// The upstream's own rule says how long.
    Fixed(Duration),
}

impl Wait {
    /// The wait before the next try, after `count` tries in a row that ended likewise.
    pub fn after(self, count: u32, human_poll: Duration, now_ms: u64, random: Random) -> Duration {
        match self {
            Self::Backoff => policy::backoff(policy::RETRY_BASE, policy::RETRY_CAP, count, random),
            Self::NextMinute => policy::until_next_minute(now_ms, random),
            Self::NextDay => policy::until_next_day(now_ms, random),
            Self::Poll { up_to } => {
                let grown = human_poll.saturating_mul(2_u32.saturating_pow(count.min(16)));
                let wait = grown.min(human_poll.saturating_mul(up_to));
                wait / 2 + random.below(wait / 2)
            }
            Self::Pause { times } => {
                let wait = human_poll.saturating_mul(times);
                wait + random.below(wait / 10)
            }
            Self::Fixed(wait) => wait + random.below(wait / 60),
        }
    }
}

/// What the refusal `code` of a token endpoint leads to.
pub const fn ruling(code: i64) -> Ruling {
    match known(code) {
        Some(ruling) => ruling,
        None => OTHER,
    }
}

/// [`ruling`], if the table has the code.
pub const fn known(code: i64) -> Option<Ruling> {
    Some(match code {
        40164 | 61004 => IP_NOT_ALLOWED,
        89501..=89505 => AWAITING_ADMIN,
        89506 => BLOCKED_A_DAY,
        89507 => BLOCKED_AN_HOUR,
        45009 => DAY_QUOTA,
        45011 => MINUTE_QUOTA,
        40243 | 50002 | 50004 | 50007 => FROZEN,
        40001 | 40125 => WRONG_SECRET,
        40013 => WRONG_APP_ID,
        61024 => WRONG_PROVIDER,
        40002 | 41002 | 41004 | 43002 | 44002 | 47001 | 61011 => REJECTED_REQUEST,
        SYSTEM_BUSY => BUSY,
        _ => return None,
    })
}

/// What the refusal `code` of a fetch of `kind` leads to.
pub const fn ruling_of(kind: Kind, code: i64) -> Ruling {
    match kind {
        Kind::AccessToken => ruling(code),
        Kind::JsapiTicket | Kind::WxCardTicket => match known_of_tickets(code) {
            Some(ruling) => ruling,
            None => OTHER,
        },
    }
}

/// Likewise of any ticket, if the table has the code.
pub const fn known_of_tickets(code: i64) -> Option<Ruling> {
    tickets::known_of_tickets(code)
}

/// Whether `code`, in a call with a token, says that the upstream accepts the token no more:
/// it is not the newest, not well-formed, or expired. At a token endpoint 40001 says something else.
pub const fn token_is_dead(code: i64) -> bool {
    matches!(code, 40001 | 40014 | 42001)
}

/// What `code` means in a call with a token, if the table has it.
pub const fn in_a_call(code: i64) -> Option<Remark> {
    Some(match code {
        0 => NO_ERROR,
        _ if token_is_dead(code) => TOKEN_REJECTED,
        SYSTEM_BUSY => CALL_BUSY,
        40164 | 61004 => CALLER_NOT_ALLOWED,
        41001 => TOKEN_MISSING,
        45009 => CALL_DAY_QUOTA,
        45011 => CALL_MINUTE_QUOTA,
        48001 => NO_PERMISSION,
        48004 => BANNED,
        48006 => CLEARINGS_SPENT,
        _ => return None,
    })
}

/// Whom a refusal of a fetch of `kind` concerns, for people.
pub const fn concerned(kind: Kind, scope: Scope) -> Text {
    if kind.ticket().is_some() && matches!(scope, Scope::Configuration) {
        return Text {
            en: "every worker, until there is another access token",
            zh: "所有 worker，直至 access_token 更换",
        };
    }
    match scope {
        Scope::Worker => Text {
            en: "the worker that met it, by its address; the others carry on",
            zh: "遇到它的 worker（按其出口 IP）；其他 worker 照常工作",
        },
        Scope::Configuration => Text {
            en: "workers with the same provider, app_id, base_url and secret",
            zh: "provider、app_id、base_url 和 secret 相同的 worker",
        },
        Scope::Account => {
            Text { en: "the account, and so every worker", zh: "该账号，即所有 worker" }
        }
        Scope::Transient => {
            Text { en: "every worker, briefly", zh: "所有 worker，时间很短" }
        }
    }
}

const IP_NOT_ALLOWED: Ruling = Ruling {
    scope: Scope::Worker,
    status: Status::IpNotAllowed,
    wait: Wait::Poll { up_to: 10 },
    meaning: Text {
        en: "the worker's address is not on the account's IP list",
        zh: "该 worker 的出口 IP 不在公众号的 IP 白名单中",
    },
    advice: Text {
        en: "add the address to the IP list in the account's console; the worker tries again by itself",
        zh: "请在公众平台后台把该 IP 加入白名单；worker 会自动重试",
    },
};

const AWAITING_ADMIN: Ruling = Ruling {
    scope: Scope::Worker,
    status: Status::AwaitingAdmin,
    wait: Wait::Poll { up_to: 5 },
    meaning: Text {
        en: "the account's administrator has to confirm calls from the worker's address",
        zh: "该 IP 的调用需要公众号管理员确认",
    },
    advice: Text {
        en: "ask the administrator to confirm the message in WeChat; the worker tries again by itself",
        zh: "请管理员在微信中确认模板消息；worker 会自动重试",
    },
};

const BLOCKED_AN_HOUR: Ruling = Ruling {
    scope: Scope::Worker,
    status: Status::Blocked,
    wait: Wait::Fixed(Duration::from_hours(1)),
    meaning: Text {
        en: "the administrator refused the worker's address; the platform blocks it for an hour",
        zh: "管理员拒绝了该 IP 的调用，平台禁止其一小时",
    },
    advice: Text {
        en: "settle it with the administrator before the hour is over: a second refusal blocks the address for a day",
        zh: "请在一小时内与管理员沟通：再次拒绝将禁止 24 小时",
    },
};

const BLOCKED_A_DAY: Ruling = Ruling {
    wait: Wait::Fixed(Duration::from_hours(24)),
    meaning: Text {
        en: "the administrator refused the worker's address twice; the platform blocks it for a day",
        zh: "管理员两次拒绝了该 IP 的调用，平台禁止其 24 小时",
    },
    advice: Text {
        en: "run the refreshes from another address, or settle it with the administrator and wait",
        zh: "请改用其他出口 IP，或与管理员沟通后等待",
    },
    ..BLOCKED_AN_HOUR
};

const DAY_QUOTA: Ruling = Ruling {
    scope: Scope::Account,
    status: Status::Throttled,
    wait: Wait::NextDay,
    meaning: Text {
        en: "the account's daily quota of token calls is spent",
        zh: "该账号当日的 token 调用次数已用尽",
    },
    advice: Text {
        en: "look for another program that fetches tokens with this AppSecret; the quota can be cleared ten times a month",
        zh: "请排查是否有其他程序在使用同一 AppSecret 获取 token；每月可清零十次",
    },
};

const MINUTE_QUOTA: Ruling = Ruling {
    wait: Wait::NextMinute,
    meaning: Text {
        en: "the account's quota of token calls a minute is spent",
        zh: "该账号每分钟的 token 调用次数已用尽",
    },
    advice: Text {
        en: "nothing; if it comes back, look for another program that fetches tokens with this AppSecret",
        zh: "无需处理；若反复出现，请排查是否有其他程序在获取 token",
    },
    ..DAY_QUOTA
};

const FROZEN: Ruling = Ruling {
    scope: Scope::Account,
    status: Status::AccountFrozen,
    wait: Wait::Pause { times: 10 },
    meaning: Text {
        en: "the account, its AppSecret or its use of tokens is frozen",
        zh: "该账号、其 AppSecret 或 token 接口已被冻结",
    },
    advice: Text {
        en: "unfreeze it in the account's console (it takes about ten minutes to have effect)",
        zh: "请在公众平台后台解冻（约十分钟后生效）",
    },
};

const WRONG_SECRET: Ruling = Ruling {
    scope: Scope::Configuration,
    status: Status::Misconfigured,
    wait: Wait::Pause { times: 60 },
    meaning: Text {
        en: "the AppSecret is wrong, or was reset", zh: "AppSecret 错误或已被重置"
    },
    advice: Text {
        en: "put the current AppSecret into the secret's file or the configuration; a changed file is tried at once",
        zh: "请更新密钥文件或配置中的 AppSecret；文件变更后会立即重试",
    },
};

const WRONG_APP_ID: Ruling = Ruling {
    meaning: Text { en: "the platform does not know this app_id", zh: "app_id 无效" },
    advice: Text { en: "correct app_id in the configuration", zh: "请更正配置中的 app_id" },
    ..WRONG_SECRET
};

const WRONG_PROVIDER: Ruling = Ruling {
    meaning: Text {
        en: "this app_id belongs to a third-party platform, which has another token endpoint",
        zh: "该 app_id 属于第三方平台，应使用其专用接口",
    },
    advice: Text {
        en: "correct app_id or provider in the configuration",
        zh: "请更正配置中的 app_id 或 provider",
    },
    ..WRONG_SECRET
};

const REJECTED_REQUEST: Ruling = Ruling {
    meaning: Text {
        en: "the platform rejects the form of the request",
        zh: "平台拒绝了请求的格式",
    },
    advice: Text {
        en: "check app_id, secret, provider and base_url in the configuration",
        zh: "请检查配置中的 app_id、secret、provider 和 base_url",
    },
    ..WRONG_SECRET
};

const OTHER: Ruling = Ruling {
    scope: Scope::Transient,
    status: Status::Retrying,
    wait: Wait::Backoff,
    meaning: Text { en: "the platform refused the call", zh: "平台拒绝了该调用" },
    advice: Text {
        en: "nothing yet; the worker tries again. If it lasts, look the code up in the platform's documentation",
        zh: "暂无需处理，worker 会自动重试；若持续出现，请查阅平台文档",
    },
};

const BUSY: Ruling = Ruling {
    meaning: Text {
        en: "the platform is busy; whether it issued a token is unknown",
        zh: "系统繁忙；是否已签发新 token 不得而知",
    },
    advice: Text {
        en: "nothing; the worker asks again, which settles it",
        zh: "无需处理；worker 会再次获取，从而得到确定的结果",
    },
    ..OTHER
};

const NO_ERROR: Remark = Remark {
    meaning: Text {
        en: "no error; token endpoints leave it out",
        zh: "成功；token 接口成功时不返回该字段",
    },
    advice: Text {
        en: "nothing; a worker takes an answer with 0 for one without a code, and looks for the token in it",
        zh: "无需处理；worker 将其视为没有错误码，只看回复中是否有 token",
    },
};

const TOKEN_REJECTED: Remark = Remark {
    meaning: Text {
        en: "the token was rejected: it is not the newest, has expired, or is not a token of this account",
        zh: "token 被拒绝：它不是最新的、已过期，或不属于该账号",
    },
    advice: Text {
        en: "read the key again and repeat the call once. If the same token is rejected again, report it (`zhongkong keys` shows how): \
             a worker then looks whether it still lives, and fetches another if not",
        zh: "请重新读取该键并重试一次；若同一 token 再次被拒绝，请上报（方法见 `zhongkong keys`）：worker 会检查它是否仍有效，失效则重新获取",
    },
};

const CALL_BUSY: Remark = Remark {
    meaning: Text { en: "the platform is busy", zh: "系统繁忙" },
    advice: Text {
        en: "repeat the call later; the token is not at fault",
        zh: "请稍后重试；与 token 无关",
    },
};

const CALLER_NOT_ALLOWED: Remark = Remark {
    meaning: Text {
        en: "the caller's address is not on the account's IP list",
        zh: "调用方的 IP 不在公众号的 IP 白名单中",
    },
    advice: Text {
        en: "add the reader's address to the IP list in the account's console; the token is not at fault",
        zh: "请在公众平台后台把读取方的 IP 加入白名单；与 token 无关",
    },
};

const TOKEN_MISSING: Remark = Remark {
    meaning: Text { en: "the call carries no access_token", zh: "调用中缺少 access_token" },
    advice: Text {
        en: "correct the reader: it found no key, or put the token in the wrong place",
        zh: "请检查读取方：是否未读到该键，或参数位置有误",
    },
};

const CALL_DAY_QUOTA: Remark = Remark {
    meaning: Text {
        en: "the daily quota of the API that was called is spent",
        zh: "所调用接口当日的调用次数已用尽",
    },
    advice: Text {
        en: "call it less, or wait for the next day; all quotas of the account can be cleared ten times a month. \
             The token is not at fault",
        zh: "请减少调用或等到次日；每月可为该账号清零十次。与 token 无关",
    },
};

const CALL_MINUTE_QUOTA: Remark = Remark {
    meaning: Text {
        en: "the API that was called is called too often a minute",
        zh: "所调用接口每分钟的调用次数超限",
    },
    advice: Text {
        en: "repeat the call in the next minute, and call less often; the token is not at fault",
        zh: "请下一分钟重试，并降低调用频率；与 token 无关",
    },
};

const NO_PERMISSION: Remark = Remark {
    meaning: Text {
        en: "the account has no permission for the API that was called",
        zh: "该账号没有所调用接口的权限",
    },
    advice: Text {
        en: "look at the permissions in the account's console; another token would not help",
        zh: "请在公众平台后台查看接口权限；更换 token 无济于事",
    },
};

const BANNED: Remark = Remark {
    meaning: Text {
        en: "the account is banned from the API that was called",
        zh: "该账号的此接口因违规被封禁",
    },
    advice: Text {
        en: "look at the notices in the account's console; another token would not help",
        zh: "请查看公众平台的站内通知；更换 token 无济于事",
    },
};

const CLEARINGS_SPENT: Remark = Remark {
    meaning: Text {
        en: "clear_quota: the account's ten clearings of this month are spent",
        zh: "clear_quota：该账号本月的十次清零机会已用尽",
    },
    advice: Text {
        en: "wait for the quota's own reset, or for the next month",
        zh: "请等待次日额度恢复，或下个月再清零",
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(codes: &[i64], scope: Scope, status: Status, at_least: Duration, at_most: Duration) {
        let poll = Duration::from_mins(1);
        for &code in codes {
            let ruling = ruling(code);
            assert_eq!((ruling.scope, ruling.status), (scope, status), "{code}");
            let wait = |count, random| {
                ruling.wait.after(count, poll, 1_795_363_140_000, Random::new(random))
            };
            assert!(wait(0, 0.0) >= at_least, "{code}: {:?}", wait(0, 0.0));
            assert!(wait(30, 1.0) <= at_most, "{code}: {:?}", wait(30, 1.0));
        }
    }

    #[test]
    fn each_code_of_the_contracts_table_leads_to_its_status_its_scope_and_its_wait() {
        use Scope::{Account, Configuration, Transient, Worker};
        let s = Duration::from_secs;
        let h = Duration::from_hours;
        check(&[40164, 61004], Worker, Status::IpNotAllowed, s(30), s(600));
        let pending = [89501, 89502, 89503, 89504, 89505];
        check(&pending, Worker, Status::AwaitingAdmin, s(30), s(300));
        check(&[89507], Worker, Status::Blocked, h(1), s(3_700));
        check(&[89506], Worker, Status::Blocked, h(24), h(25));
        // At 23:59:00 of +08:00, one minute is left of the day.
        check(&[45009], Account, Status::Throttled, s(90), s(360));
        check(&[45011], Account, Status::Throttled, s(61), s(70));
        check(&[40243, 50002, 50004, 50007], Account, Status::AccountFrozen, s(600), s(660));
        let wrong = [40001, 40002, 40013, 40125, 41002, 41004, 43002, 47001, 61024];
        check(&wrong, Configuration, Status::Misconfigured, h(1), s(3_960));
        check(&[48004, 12345], Transient, Status::Retrying, Duration::from_millis(100), s(60));
    }

    #[test]
    fn no_code_of_a_ticket_is_put_down_to_the_secret_and_a_dead_access_token_concerns_itself_alone()
    {
        use Scope::{Account, Configuration, Transient, Worker};
        let of = |code| {
            let Ruling { scope, status, .. } = ruling_of(Kind::JsapiTicket, code);
            (scope, status)
        };
        for code in [40001, 40014, 42001] {
            assert_eq!(of(code), (Configuration, Status::Retrying), "{code}");
        }
        assert_eq!(of(40164), (Worker, Status::IpNotAllowed));
        assert_eq!(of(89507), (Worker, Status::Blocked));
        assert_eq!(of(45009), (Account, Status::Throttled));
        assert_eq!(of(48001), (Account, Status::Misconfigured));
        assert_eq!(of(40125), (Transient, Status::Retrying));
        assert_eq!(ruling_of(Kind::WxCardTicket, 45009).wait, Wait::NextDay);
        assert_eq!(ruling_of(Kind::AccessToken, 40001), ruling(40001));
    }

    #[test]
    fn every_ruling_says_what_happened_and_what_to_do_in_both_languages() {
        let mut rulings = 0;
        for code in (-1..100_000).filter(|code| known(*code).is_some()).chain([1]) {
            let Ruling { meaning, advice, scope, .. } = ruling(code);
            both_languages(code, [meaning, advice, concerned(Kind::AccessToken, scope)]);
            rulings += 1;
        }
        for code in (-1..100_000).filter(|code| known_of_tickets(*code).is_some()).chain([1]) {
            let Ruling { meaning, advice, scope, .. } = ruling_of(Kind::JsapiTicket, code);
            both_languages(code, [meaning, advice, concerned(Kind::JsapiTicket, scope)]);
            rulings += 1;
        }
        assert!(rulings > 45, "only {rulings}");
    }

    #[test]
    fn what_a_code_means_to_a_reader_is_said_in_both_languages() {
        let remarks = (-1..100_000).filter_map(|code| Some((code, in_a_call(code)?)));
        let codes: Vec<i64> = remarks
            .map(|(code, Remark { meaning, advice })| {
                both_languages(code, [meaning, advice]);
                code
            })
            .collect();
        let expected =
            [-1, 0, 40001, 40014, 40164, 41001, 42001, 45009, 45011, 48001, 48004, 48006, 61004];
        assert_eq!(codes, expected);
    }

    #[track_caller]
    fn both_languages<const N: usize>(code: i64, texts: [Text; N]) {
        for text in texts {
            assert!(text.en.is_ascii() && !text.zh.is_ascii(), "{code}");
        }
    }

    #[test]
    fn three_codes_say_that_a_token_is_dead_and_no_other_does() {
        let dead: Vec<i64> = (-1..100_000).filter(|code| token_is_dead(*code)).collect();
        assert_eq!(dead, [40001, 40014, 42001]);
    }

    #[test]
    fn what_the_token_endpoint_does_not_answer_is_not_in_its_table() {
        for code in [0, 1, 40014, 42001, 48001, 48006, 12345] {
            assert_eq!(known(code), None, "{code}");
            assert_eq!(ruling(code), OTHER, "{code}");
        }
    }
}

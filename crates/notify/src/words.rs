//! What is said of each problem: what it is, what the workers do about it, what a person should do.

use zhongkong_core::codes::{Text, ruling};

use crate::problem::Problem;

/// The words for one problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// Its name, for a title.
    pub name: Text,
    /// What happened, where no code says it better.
    pub meaning: Text,
    /// What the workers do about it.
    pub workers_do: Text,
    /// What a person should do, where no code says it better.
    pub advice: Text,
    /// That it is over.
    pub over: Text,
}

/// The words for `problem`.
pub const fn words(problem: Problem) -> Words {
    match problem {
        Problem::IpNotAllowed => IP_NOT_ALLOWED,
        Problem::AwaitingAdmin => AWAITING_ADMIN,
        Problem::Blocked => BLOCKED,
        Problem::Misconfigured => MISCONFIGURED,
        Problem::AccountFrozen => ACCOUNT_FROZEN,
        Problem::ForeignRefresh => FOREIGN_REFRESH,
        Problem::TokenLost => TOKEN_LOST,
    }
}

/// What happened and what to do, by the upstream's `code` if there is one.
pub fn meaning_and_advice(problem: Problem, code: Option<i64>) -> (Text, Text) {
    let Words { meaning, advice, .. } = words(problem);
    match code {
        Some(code) if Problem::of(ruling(code).status) == Some(problem) => {
            let ruling = ruling(code);
            (ruling.meaning, ruling.advice)
        }
        _ => (meaning, advice),
    }
}

const IP_NOT_ALLOWED: Words = Words {
    name: Text { en: "address not on the IP list", zh: "出口 IP 不在白名单" },
    meaning: ruling(40164).meaning,
    workers_do: Text {
        en: "try again by themselves, at a gentle pace; workers that call from other addresses carry on",
        zh: "自动低频重试；其他出口 IP 的 worker 照常工作",
    },
    advice: ruling(40164).advice,
    over: Text {
        en: "no worker is refused for its address any more",
        zh: "已没有 worker 因该 IP 被拒绝",
    },
};

const AWAITING_ADMIN: Words = Words {
    name: Text { en: "the administrator has to confirm", zh: "等待管理员确认" },
    meaning: ruling(89503).meaning,
    workers_do: IP_NOT_ALLOWED.workers_do,
    advice: ruling(89503).advice,
    over: Text { en: "nobody awaits the administrator any more", zh: "已无需管理员确认" },
};

const BLOCKED: Words = Words {
    name: Text { en: "address refused by the administrator", zh: "出口 IP 被管理员拒绝" },
    meaning: ruling(89507).meaning,
    workers_do: Text {
        en: "wait until the platform's block is over, and then try again; workers that call from other addresses carry on",
        zh: "等待平台的禁止期结束后自动重试；其他出口 IP 的 worker 照常工作",
    },
    advice: ruling(89507).advice,
    over: Text { en: "no worker is blocked any more", zh: "已没有 worker 被禁止调用" },
};

const MISCONFIGURED: Words = Words {
    name: Text { en: "AppSecret or account data wrong", zh: "AppSecret 或账号配置错误" },
    meaning: Text {
        en: "the platform refuses the account's data or secret",
        zh: "平台拒绝了该账号的配置或密钥",
    },
    workers_do: Text {
        en: "try again as soon as the secret or the configuration changes, else about once an hour; workers with another \
             secret carry on",
        zh: "密钥或配置变更后立即重试，否则约每小时重试一次；使用其他密钥的 worker 照常工作",
    },
    advice: Text {
        en: "check app_id, secret, provider and base_url in the configuration",
        zh: "请检查配置中的 app_id、secret、provider 和 base_url",
    },
    over: Text {
        en: "the platform accepts the account's data and secret",
        zh: "平台已接受该账号的配置与密钥",
    },
};

const ACCOUNT_FROZEN: Words = Words {
    name: Text { en: "account frozen", zh: "账号被冻结" },
    meaning: ruling(40243).meaning,
    workers_do: Text {
        en: "try again about every ten minutes", zh: "约每十分钟自动重试一次"
    },
    advice: ruling(40243).advice,
    over: Text { en: "the account is frozen no more", zh: "账号已解冻" },
};

const FOREIGN_REFRESH: Words = Words {
    name: Text { en: "somebody else refreshes", zh: "有其他程序在刷新 token" },
    meaning: Text {
        en: "somebody else refreshes with the same AppSecret: the newest token of this cluster is rejected by the platform, or \
             will be soon",
        zh: "有其他程序在用同一 AppSecret 刷新：本集群最新的 token 已被平台拒绝，或即将失效",
    },
    workers_do: Text {
        en: "fetch a new token each time they find such a refresh, at growing distances of up to ten minutes",
        zh: "每次发现这样的刷新都会重新获取，间隔逐渐加大，最长十分钟",
    },
    advice: Text {
        en: "look for another program or person that uses this AppSecret, and make it a reader or stop it; a service whose SDK \
             is named needs a dummy secret; or reset the AppSecret",
        zh: "请找出使用同一 AppSecret 的其他程序或人员，改为读取方或停用；若指明了 SDK，请给该服务配置假密钥；或重置 AppSecret",
    },
    over: Text {
        en: "for three hours, nobody else was seen to refresh",
        zh: "三小时内未再发现其他程序刷新",
    },
};

const TOKEN_LOST: Words = Words {
    name: Text { en: "readers have no token", zh: "已无有效 token" },
    meaning: Text {
        en: "the last token's life ended, and no worker could fetch the next one: calls to the platform fail now",
        zh: "最后一个 token 已过期，且没有 worker 能获取新的：对平台的调用正在失败",
    },
    workers_do: Text {
        en: "go on trying, and publish the next token as soon as one can be had",
        zh: "持续尝试，一旦取得新 token 立即发布",
    },
    advice: Text {
        en: "`zhongkong status` names the reason for each account, and what to do about it",
        zh: "`zhongkong status` 会给出每个账号的原因与处理办法",
    },
    over: Text { en: "readers have a token again", zh: "读取方已有新的有效 token" },
};

/// What the workers do while an operator wants no refresh.
pub(crate) const PAUSED: Text = Text {
    en: "nothing: an operator paused these refreshes",
    zh: "不刷新：操作员已暂停",
};

/// What to do about a token that ended in a pause.
pub(crate) const RESUME: Text = Text {
    en: "end the pause with `zhongkong resume ID`, if its reason is over",
    zh: "若暂停的原因已消除，请执行 `zhongkong resume ID`",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_has_its_words_in_both_languages_and_a_code_makes_them_more_exact() {
        for problem in Problem::ALL {
            let Words { name, meaning, workers_do, advice, over } = words(problem);
            for text in [name, meaning, workers_do, advice, over] {
                assert!(!text.en.is_empty() && !text.en.ends_with('.'), "{}", text.en);
                assert!(text.zh.chars().any(|c| c > '一'), "{}", text.zh);
            }
        }
        let (meaning, _) = meaning_and_advice(Problem::Blocked, Some(89506));
        assert!(meaning.en.contains("twice"), "{}", meaning.en);
        let (meaning, _) = meaning_and_advice(Problem::Misconfigured, Some(40013));
        assert!(meaning.en.contains("app_id"), "{}", meaning.en);
        // A code of something else says nothing of this.
        let (meaning, _) = meaning_and_advice(Problem::TokenLost, Some(40164));
        assert_eq!(meaning, TOKEN_LOST.meaning);
    }
}

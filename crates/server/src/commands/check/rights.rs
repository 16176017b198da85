//! What the worker's user may not do in Redis, and who grants it.

use zhongkong_core::codes::Text;
use zhongkong_redis::Facts;

use super::{Finding, What, ok, warning, wrong};
use crate::language::Language;

/// Rights without which a worker works, and says what it then cannot notice.
const DISPENSABLE: [&str; 3] = ["+info", "+wait", "+client|tracking"];
/// Where there is a role with all that a worker needs.
const ROLES: &str = "deploy/redis/users.acl";

/// What a connection takes, as Redis names it where it is refused; the rules that grant it, and why.
const PREREQUISITES: [(&str, &str, Text); 2] = [
    (
        "'select'",
        "+select",
        Text {
            en: "another database than 0 takes a right of its own; as an administrator, grant it",
            zh: "使用 0 以外的数据库需要单独授权；请以管理员身份授权",
        },
    ),
    (
        "'cluster|slots'",
        "+cluster|slots +cluster|info +cluster|nodes +asking",
        Text {
            en: "a cluster takes rights of its own; as an administrator, grant them on each of its servers",
            zh: "集群需要单独授权；请以管理员身份在每台服务器上授权",
        },
    ),
];

/// What to do about a Redis to which `user` gets no connection.
pub(super) fn advice(error: &str, user: &str, language: Language) -> String {
    // Any other right can be asked for on a connection; these are part of making one.
    let lacking = PREREQUISITES.iter().find(|(command, ..)| {
        error.to_lowercase().contains("no permissions") && error.contains(command)
    });
    if let Some((_, rules, why)) = lacking {
        let why = language.pick(*why);
        return format!("{why}{}ACL SETUSER {user} {rules}", language.colon());
    }
    let advice = language.say(
        "see that Redis runs there, and that [redis] in the configuration is right",
        "请确认 Redis 已在该地址运行，且配置中的 [redis] 正确",
    );
    advice.to_owned()
}

/// What `user`, as whom workers log in, lacks, as an administrator would grant it.
pub(super) fn finding(facts: &Facts, user: &str, language: Language) -> Finding {
    let Some(denied) = &facts.denied else {
        return warning(
            What::Acl,
            language.say(
                "unknown: this Redis cannot be asked. Use Redis 7.0 or newer, or Valkey",
                "未知：此 Redis 无法查询权限。请使用 Redis 7.0 及以上或 Valkey",
            ),
        );
    };
    if denied.is_empty() {
        return ok(What::Acl, language.say("the worker may do what it needs", "worker 权限齐全"));
    }
    let mut text = match language {
        Language::English => format!(
            "the user {user} lacks rights that a worker needs; log in as the role worker of {ROLES}, \
             or as an administrator grant them, and check again"
        ),
        Language::Chinese => format!(
            "用户 {user} 缺少 worker 所需的权限；请以 {ROLES} 中的 worker 角色登录，或以管理员身份授权后再次检查"
        ),
    };
    if denied.iter().any(|rule| rule == "+eval") {
        // Redis answers such a question to scripts alone.
        text.push_str(
            language.say(
                "; the rest can be asked for only with this one",
                "；有了此权限才能查询其余权限",
            ),
        );
    }
    let text = format!("{text}{}ACL SETUSER {user} {}", language.colon(), denied.join(" "));
    if denied.iter().all(|rule| DISPENSABLE.contains(&rule.as_str())) {
        warning(What::Acl, text)
    } else {
        wrong(What::Acl, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::check::Verdict;

    fn denied(rules: &[&str], language: Language) -> Finding {
        let denied = Some(rules.iter().map(ToString::to_string).collect());
        let facts = Facts { denied, ..Facts::default() };
        finding(&facts, "worker", language)
    }

    #[test]
    fn a_lacking_right_is_wrong_unless_a_worker_can_do_without_and_the_line_grants_it() {
        for (rules, verdict) in [
            (&[][..], Verdict::Ok),
            (&["+info", "+wait"], Verdict::Warning),
            (&["+info", "+xack", "~zhongkong:*"], Verdict::Wrong),
        ] {
            for language in [Language::English, Language::Chinese] {
                let finding = denied(rules, language);
                assert_eq!(finding.verdict, verdict, "{}", finding.text);
                let line = format!("ACL SETUSER worker {}", rules.join(" "));
                assert_eq!(finding.text.ends_with(&line), verdict != Verdict::Ok);
            }
        }
    }

    #[test]
    fn a_right_without_which_there_is_no_connection_is_named_by_the_line_that_grants_it() {
        for (command, rules) in [("select", "+select"), ("cluster|slots", "+cluster|slots ")] {
            let said = format!("User worker has no permissions to run the '{command}' command");
            let told = advice(&said, "worker", Language::English);
            assert!(told.contains(&format!("ACL SETUSER worker {rules}")), "{told}");
        }
        assert!(!advice("timed out", "worker", Language::English).contains("ACL"));
    }
}

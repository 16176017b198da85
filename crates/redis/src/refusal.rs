//! What it means that Redis refuses a command, and what a person should do about it.

use redis::RedisError;

use crate::link::describe;

/// The refusals of a Redis that is not well, by the word with which they begin, and what to do. Each is definite: the
/// command was not run. All but the last two end by themselves once the cause is gone.
const ADVICE: [(&str, &str); 8] = [
    ("OOM", "its memory is full (maxmemory). Make room, or raise maxmemory"),
    (
        "MISCONF",
        "it cannot write to its disk, and takes no writes until it can. See its log, and make room on its disk",
    ),
    (
        "BUSY",
        "somebody's script holds it up. It goes on when that ends; SCRIPT KILL ends one that has not written",
    ),
    ("LOADING", "it loads its data after a start. Wait until it has"),
    ("NOREPLICAS", "fewer replicas follow it than its min-replicas-to-write. Bring them back"),
    ("MASTERDOWN", "this is a replica that lost its primary. Bring the primary back"),
    (
        "READONLY",
        "this is a replica, perhaps a primary that was demoted. redis.url must lead to the primary",
    ),
    ("NOPERM", "its user may not do that. `zhongkong check` names the rules that are missing"),
];

/// Whether Redis refused for want of memory.
pub(crate) fn is_out_of_memory(error: &RedisError) -> bool {
    error.code() == Some("OOM")
}

/// Whether Redis does not have the command, or not for this user.
pub(crate) fn is_forbidden(error: &RedisError) -> bool {
    ["NOPERM", "ERR"].iter().any(|code| error.code() == Some(code))
}

/// Whether Redis refuses everything, whoever asks.
pub(crate) fn answers_nobody(error: &RedisError) -> bool {
    ["BUSY", "LOADING", "MASTERDOWN"].iter().any(|code| error.code() == Some(code))
}

/// Whether it was demoted, or is about to follow another: what it was asked belongs elsewhere.
pub(crate) fn is_demoted(error: &RedisError) -> bool {
    let text = || error.to_string();
    match error.code() {
        Some("READONLY" | "MASTERDOWN") => true,
        // Whoever waits while it happens; also a wait for a key that somebody deleted.
        Some("UNBLOCKED") => text().contains("instance state"),
        // `WAIT`, right after it happened.
        _ => text().contains("replica instances"),
    }
}

/// A refusal in words: what Redis says, what that means, and what to do.
pub(crate) fn explain(error: &RedisError) -> String {
    let said = describe(error);
    let advice = ADVICE.iter().find(|(code, _)| error.code() == Some(code));
    advice.map_or_else(|| said.clone(), |(_, advice)| format!("{said}: {advice}"))
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    fn refused(line: &str) -> RedisError {
        let value = parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    #[test]
    fn what_a_server_repeats_of_a_login_is_not_told() {
        let line =
            "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'u' 's3cret' ";
        let told = explain(&refused(line));
        assert!(told.contains("unknown command 'HELLO'") && !told.contains("s3cret"), "{told}");
    }

    #[test]
    fn a_demoted_primary_is_known_by_what_it_says() {
        for line in [
            "READONLY You can't write against a read only replica.",
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
            "ERR WAIT cannot be used with replica instances. Please also note that",
        ] {
            assert!(is_demoted(&refused(line)), "{line}");
        }
        for line in ["UNBLOCKED the stream key no longer exists", "NOPERM no", "ERR unknown"] {
            assert!(!is_demoted(&refused(line)), "{line}");
        }
    }

    #[test]
    fn a_refusal_of_a_redis_that_is_not_well_comes_with_what_to_do() {
        for (line, advice) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", "raise maxmemory"),
            ("MISCONF Errors writing to the AOF file: No space left on device", "room on its disk"),
            ("BUSY Redis is busy running a script.", "SCRIPT KILL"),
            ("LOADING Redis is loading the dataset in memory", "Wait"),
            ("NOREPLICAS Not enough good replicas to write.", "min-replicas-to-write"),
            ("MASTERDOWN Link with MASTER is down", "Bring the primary back"),
            ("READONLY You can't write against a read only replica.", "lead to the primary"),
            ("NOPERM User worker has no permissions", "zhongkong check"),
        ] {
            let told = explain(&refused(line));
            assert!(told.contains(line.split_once(' ').unwrap().1), "{told}");
            assert!(told.contains(advice), "{told}");
        }
    }
}

//! Commands, tried under each role on a real server: who may run which.

use std::collections::BTreeSet;

use super::roles::{ROLES, Roles, grants_of};

/// Commands, and the roles that may run them by their first letters: `w`orker, `r`eader, re`p`orter.
const TRIED: [(&str, &str); 156] = [
    // The tokens, and what is beside them.
    ("wr ", "GET $token"),
    ("wr ", "GET zhongkong:{wx-test}:jsapi_ticket"),
    ("wr ", "GET zhongkong:{wx-test}:wx_card_ticket"),
    ("wr ", "PTTL $token"),
    (" r ", "TTL $token"),
    ("w  ", "GET $token:state"),
    ("w  ", "GET $token:lock"),
    ("w  ", "GET zhongkong:replicas"),
    ("w  ", "GET zhongkong:{wx-test}:any"),
    ("w  ", "GET zhongkong:access_token"),
    ("w  ", "PTTL $token:state"),
    ("   ", "TTL $token:state"),
    ("   ", "GET other"),
    ("   ", "GET other:{wx-test}:access_token"),
    ("   ", "GET zhongkong"),
    // Other ways to a value.
    ("   ", "MGET $token"),
    ("w  ", "GETRANGE $token 0 -1"),
    ("   ", "SUBSTR $token 0 -1"),
    ("   ", "GETEX $token PERSIST"),
    ("   ", "GETDEL $token"),
    ("   ", "GETSET $token text"),
    ("   ", "STRLEN $token"),
    ("   ", "DUMP $token"),
    ("   ", "LCS $token $token"),
    ("   ", "SORT $token"),
    ("   ", "COPY $token other"),
    ("   ", "OBJECT ENCODING $token"),
    ("   ", "MEMORY USAGE $token"),
    ("   ", "MIGRATE 127.0.0.1 1 $token 0 1"),
    // Writing, moving and removing it.
    ("w  ", "SET $token text PX 1000"),
    ("w  ", "DEL $token"),
    ("   ", "SET other text"),
    ("   ", "DEL other"),
    ("   ", "SETEX $token 1 text"),
    ("   ", "APPEND $token text"),
    ("   ", "INCR $token"),
    ("   ", "UNLINK $token"),
    ("   ", "EXPIRE $token 1"),
    ("w  ", "PEXPIRE $token 1"),
    ("   ", "PEXPIRE other 1"),
    ("   ", "PERSIST $token"),
    ("   ", "RENAME $token other"),
    ("   ", "RESTORE $token 0 text"),
    ("   ", "MOVE $token 1"),
    // The state and the workers' own keys.
    ("   ", "EXISTS $token"),
    ("w  ", "TYPE $token"),
    ("w  ", "HGETALL $token:state"),
    ("w  ", "HMGET $token:state token"),
    ("w  ", "HSET $token:state field value"),
    ("w  ", "HDEL $token:state field"),
    ("   ", "HGETALL other"),
    ("   ", "HGET $token:state token"),
    ("   ", "HVALS $token:state"),
    ("   ", "HSCAN $token:state 0"),
    ("w  ", "ZADD zhongkong:workers 1 name"),
    ("w  ", "ZREM zhongkong:workers name"),
    ("w  ", "ZREMRANGEBYSCORE zhongkong:workers -inf 1"),
    ("w  ", "ZRANGE zhongkong:workers 0 -1"),
    ("w  ", "ZRANGEBYSCORE zhongkong:workers 1 +inf"),
    ("   ", "ZADD other 1 name"),
    ("   ", "ZCARD zhongkong:workers"),
    // Reports.
    ("w p", "XADD $reports * id wx-test fingerprint 0123456789abcdef"),
    ("w p", "XADD $reports MAXLEN ~ 10000 * id wx-test kind access_token token text"),
    ("   ", "XADD other * id wx-test"),
    ("w  ", "XADD $token * id wx-test"),
    ("w  ", "XADD zhongkong:reports2 * id wx-test"),
    ("   ", "XLEN $reports"),
    ("   ", "XRANGE $reports - +"),
    ("w  ", "XREVRANGE $reports + -"),
    ("   ", "XREAD STREAMS $reports 0"),
    ("   ", "XTRIM $reports MAXLEN 0"),
    ("   ", "XSETID $reports 9-0"),
    ("   ", "XINFO STREAM $reports"),
    ("w  ", "XGROUP CREATE $reports group 0 MKSTREAM"),
    ("w  ", "XREADGROUP GROUP group name STREAMS $reports >"),
    ("w  ", "XINFO CONSUMERS $reports group"),
    ("w  ", "XPENDING $reports group IDLE 1 - + 1 name"),
    ("w  ", "XCLAIM $reports group name 1 0-1"),
    ("w  ", "XGROUP DELCONSUMER $reports group name"),
    ("w  ", "XACK $reports group 0-1"),
    ("w  ", "XDEL $reports 0-1"),
    ("   ", "XGROUP DESTROY $reports group"),
    ("   ", "XGROUP SETID $reports group 0"),
    ("   ", "XAUTOCLAIM $reports group name 0 0"),
    // The history.
    ("w  ", "XADD zhongkong:{wx-test}:history MAXLEN = 200 * type refreshed"),
    ("w  ", "XREVRANGE zhongkong:{wx-test}:history + - COUNT 1"),
    ("   ", "XRANGE zhongkong:{wx-test}:history - +"),
    ("   ", "XREAD STREAMS zhongkong:{wx-test}:history 0"),
    // Events.
    ("w  ", "PUBLISH $events text"),
    ("w  ", "SUBSCRIBE $events"),
    ("   ", "PUBLISH other text"),
    ("   ", "SUBSCRIBE other"),
    ("   ", "PSUBSCRIBE $events"),
    ("   ", "PSUBSCRIBE *"),
    ("   ", "SPUBLISH $events text"),
    ("   ", "SSUBSCRIBE $events"),
    ("   ", "PUBSUB CHANNELS"),
    ("wr ", "CLIENT TRACKING ON"),
    // Scripts and transactions.
    ("w  ", "EVAL \"return 1\" 0"),
    ("w  ", "EVALSHA 0000000000000000000000000000000000000000 0"),
    ("   ", "EVAL_RO \"return 1\" 0"),
    ("   ", "EVALSHA_RO 0000000000000000000000000000000000000000 0"),
    ("   ", "EVAL \"return redis.call('GET', KEYS[1])\" 1 other"),
    ("   ", "EVAL \"return redis.call('GET', 'other')\" 0"),
    ("   ", "EVAL \"return redis.call('KEYS', '*')\" 0"),
    ("   ", "FCALL function 0"),
    ("   ", "FCALL_RO function 0"),
    ("   ", "FUNCTION LIST"),
    ("   ", "FUNCTION FLUSH"),
    ("   ", "SCRIPT LOAD \"return 1\""),
    ("   ", "SCRIPT FLUSH"),
    ("w  ", "MULTI"),
    ("w  ", "EXEC"),
    ("   ", "WATCH $token"),
    // The server and its other users.
    ("wrp", "PING"),
    ("w  ", "TIME"),
    ("w  ", "INFO server replication"),
    ("w  ", "WAIT 0 1"),
    ("   ", "CLIENT LIST"),
    ("   ", "CLIENT KILL ID 1"),
    ("   ", "CLIENT PAUSE 1"),
    ("   ", "CLIENT NO-EVICT ON"),
    ("   ", "CLIENT SETNAME name"),
    ("   ", "CONFIG GET *"),
    ("   ", "CONFIG SET maxmemory 1"),
    ("   ", "CONFIG REWRITE"),
    ("   ", "ACL LIST"),
    ("   ", "ACL WHOAMI"),
    ("   ", "ACL SETUSER reader +@all"),
    ("   ", "ACL SAVE"),
    ("   ", "COMMAND COUNT"),
    ("   ", "MODULE LIST"),
    ("   ", "KEYS *"),
    ("   ", "SCAN 0"),
    ("   ", "RANDOMKEY"),
    ("   ", "DBSIZE"),
    ("   ", "SELECT 1"),
    ("   ", "SWAPDB 0 1"),
    ("   ", "FLUSHDB"),
    ("   ", "FLUSHALL"),
    ("   ", "DEBUG SLEEP 0"),
    ("   ", "SAVE"),
    ("   ", "BGSAVE"),
    ("   ", "BGREWRITEAOF"),
    ("   ", "LASTSAVE"),
    ("   ", "SHUTDOWN NOSAVE"),
    ("   ", "REPLICAOF NO ONE"),
    ("   ", "FAILOVER ABORT"),
    ("   ", "SYNC"),
    ("   ", "PSYNC ? -1"),
    ("   ", "REPLCONF listening-port 1"),
    ("   ", "MONITOR"),
    ("   ", "SLOWLOG GET"),
    ("   ", "LATENCY RESET"),
    ("   ", "ECHO text"),
    ("   ", "LOLWUT"),
];

/// How Redis says so: as the code of an error, within that of another, and out of a script (7.0, and newer).
const REFUSALS: [&str; 3] = ["NOPERM", "The user executing the script can't", "ACL failure"];

/// A command as it is sent.
fn written(command: &str) -> String {
    command
        .replace("$token", "zhongkong:{wx-test}:access_token")
        .replace("$reports", "zhongkong:reports")
        .replace("$events", "zhongkong:events")
}

/// The rule that allows a command itself: that of its subcommand, where there is one.
fn is_rule_of(rule: &str, command: &str) -> bool {
    let name = rule.trim_start_matches('+').replace('|', " ");
    format!("{} ", command.to_lowercase()).starts_with(&format!("{name} "))
}

#[tokio::test]
async fn each_role_may_do_what_it_is_for_and_nothing_else() {
    let roles = Roles::made().await;
    let redis = roles.redis().await;
    let mut used = BTreeSet::new();
    for (may, command) in TRIED {
        for (role, letter) in ROLES.iter().zip(['w', 'r', 'p']) {
            let answer = roles.answer(&redis, role, &written(command)).await;
            assert!(!answer.is_empty(), "{role}, {command}: no answer");
            let denied = REFUSALS.iter().any(|refusal| answer.contains(refusal));
            assert_eq!(!denied, may.contains(letter), "{role}, {command}: {answer}");
            used.extend(may.contains(letter).then_some((*role, command)));
        }
    }
    for role in ROLES {
        for rule in grants_of(role).into_iter().filter(|rule| rule.starts_with('+')) {
            let tried = used.iter().any(|(of, command)| *of == role && is_rule_of(rule, command));
            assert!(tried, "{rule} of {role} was not tried");
        }
    }
}

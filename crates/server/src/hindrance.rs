//! What keeps Redis from taking writes, and workers from noticing lost ones, in words for people.

use zhongkong_redis::Hindrance;

use crate::language::Language;

/// What it is, what follows, and what to do.
pub(crate) fn in_words(hindrance: Hindrance, language: Language) -> String {
    let text = match hindrance {
        Hindrance::NoEpoch => language.say(
            "INFO is refused, so the epoch rule is off: writes that a failover loses go unnoticed. Allow INFO to the \
             worker's user",
            "INFO 被拒绝，纪元规则已关闭：故障切换丢失的写入将无法察觉。请允许 worker 用户执行 INFO",
        ),
        Hindrance::EpochFlaps => language.say(
            "Redis tells another run at each turn, as behind a proxy that sends each command to another server, so the \
             epoch rule is off: writes that a failover loses go unnoticed. Lead redis.url past the proxy, to the primary",
            "Redis 每次返回的运行标识都不同（例如代理把每条命令发往不同的服务器），纪元规则已关闭：故障切换丢失的写入将无法察觉。\
             请让 redis.url 绕过代理，直接指向主节点",
        ),
        Hindrance::Loading => language.say(
            "Redis is loading its data after a start: nothing is refreshed until it has. Wait",
            "Redis 启动后正在加载数据：加载完成前不会刷新。请等待",
        ),
        Hindrance::MemoryFull => language.say(
            "Redis' memory is full (maxmemory): tokens are refreshed all the same, but reports of readers and new \
             credentials may be refused. Make room, or raise maxmemory",
            "Redis 内存已满（maxmemory）：token 仍会刷新，但读取方的上报与新账号可能被拒绝。请清理数据或调大 maxmemory",
        ),
        Hindrance::AppendOnlyFile => language.say(
            "Redis cannot write its append-only file: nothing is refreshed until it can. See its log, and make room on its disk",
            "Redis 无法写入 AOF 文件：恢复前不会刷新。请查看其日志并清理磁盘",
        ),
        Hindrance::Snapshot => language.say(
            "Redis' last snapshot failed, so it takes no writes: nothing is refreshed until one succeeds. See its log, \
             and make room on its disk",
            "Redis 上一次快照失败，因此拒绝写入：快照成功前不会刷新。请查看其日志并清理磁盘",
        ),
        Hindrance::FewReplicas { good, needed } => {
            return match language {
                Language::English => format!(
                    "only {good} of the {needed} replicas that min-replicas-to-write asks for follow Redis: nothing is \
                     refreshed until they do. Bring them back"
                ),
                Language::Chinese => format!(
                    "min-replicas-to-write 要求 {needed} 个从节点，目前只有 {good} 个：恢复前不会刷新。请恢复从节点"
                ),
            };
        }
    };
    text.to_owned()
}

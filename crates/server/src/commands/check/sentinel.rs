//! What `check` tells of Sentinels: who answers, which primary they name, and whether they could agree upon another.

use zhongkong_redis::{SentinelFacts, Watched};

use super::{Finding, What, ok, warning, wrong};
use crate::language::Language;

/// One line for what those say that answer, and one for each of the others; none where there are no Sentinels.
pub(super) fn findings(sentinels: &[SentinelFacts], language: Language) -> Vec<Finding> {
    let watched: Vec<&Watched> =
        sentinels.iter().filter_map(|sentinel| sentinel.watched.as_ref().ok()).collect();
    let mut findings: Vec<Finding> = sentinels
        .iter()
        .filter_map(|sentinel| sentinel.watched.as_ref().err())
        .map(|why| {
            // Without any of them there is no Redis.
            let say = if watched.is_empty() { wrong } else { warning };
            say(What::Sentinels, why.as_str())
        })
        .collect();
    let Some(first) = watched.first() else { return findings };

    let Watched { primary, replicas, others, .. } = first;
    let (answer, all) = (watched.len(), sentinels.len());
    let text = match language {
        Language::English => format!(
            "{answer} of {all} answer; the primary is {primary}, with {replicas} replicas and {} sentinels",
            others + 1
        ),
        Language::Chinese => format!(
            "{all} 个中有 {answer} 个应答；主节点为 {primary}，从节点 {replicas} 个，哨兵 {} 个",
            others + 1
        ),
    };
    findings.insert(0, ok(What::Sentinels, text));
    if watched.iter().any(|other| other.primary != *primary) {
        findings.push(warning(What::Sentinels, language.say(
            "they name different primaries: a failover is under way, or some of them are cut off from the others; check again",
            "各哨兵给出的主节点不一致：可能正在故障切换，或部分哨兵与其他哨兵失联；请稍后再次检查",
        )));
    }
    if let Some(why) = watched.iter().find_map(|other| other.no_quorum.as_ref()) {
        let advice = language.say(
            "a failover could not be agreed upon now; see that the sentinels run and reach each other, \
             and that their user may ask CKQUORUM",
            "目前无法就故障切换达成一致；请确认各哨兵在运行且互相可达，并允许其用户执行 CKQUORUM",
        );
        findings.push(warning(What::Sentinels, format!("{why}{}{advice}", language.semicolon())));
    }
    findings
}

#[cfg(test)]
mod tests {
    use zhongkong_redis::RedisAddress;

    use super::*;
    use crate::commands::check::Verdict;

    fn address(port: u16) -> RedisAddress {
        RedisAddress::Tcp("h".to_owned(), port)
    }

    fn sentinel(primary: Result<u16, &str>, no_quorum: Option<&str>) -> SentinelFacts {
        let watched = primary.map_err(ToOwned::to_owned).map(|port| Watched {
            primary: address(port),
            replicas: 2,
            others: 2,
            no_quorum: no_quorum.map(ToOwned::to_owned),
        });
        SentinelFacts { address: address(26379), watched }
    }

    fn verdicts(sentinels: &[SentinelFacts]) -> Vec<Verdict> {
        let lines = |language| findings(sentinels, language);
        let english = lines(Language::English);
        assert_eq!(english.len(), lines(Language::Chinese).len());
        english.into_iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn who_does_not_answer_or_agree_is_a_warning_unless_nobody_answers() {
        use Verdict::{Ok, Warning, Wrong};
        let good = || sentinel(Result::Ok(6379), None);
        let silent = || sentinel(Err("h:26379: connection refused"), None);
        let other = sentinel(Result::Ok(6380), None);
        let alone = sentinel(Result::Ok(6379), Some("NOQUORUM"));
        assert_eq!(verdicts(&[]), []);
        assert_eq!(verdicts(&[good(), good()]), [Ok]);
        assert_eq!(verdicts(&[silent(), good()]), [Ok, Warning]);
        assert_eq!(verdicts(&[good(), other]), [Ok, Warning]);
        assert_eq!(verdicts(&[alone]), [Ok, Warning]);
        assert_eq!(verdicts(&[silent(), silent()]), [Wrong, Wrong]);
    }

    #[test]
    fn the_first_line_counts() {
        let two = [sentinel(Ok(6379), None), sentinel(Err("no"), None)];
        let told = &findings(&two, Language::English)[0].text;
        assert_eq!(told, "1 of 2 answer; the primary is h:6379, with 2 replicas and 3 sentinels");
    }
}

//! What `check` says of the certificate of the HTTP interface. That its files are there and fit, the configuration found.

use super::{Finding, What, ok, warning, wrong};
use crate::certificate::utc;
use crate::config::{Certificate, HttpTls, Validity};
use crate::language::Language;

/// One line, as of `now`, in seconds since 1970.
pub(super) fn finding(tls: &HttpTls, now: u64, language: Language) -> Finding {
    let file = tls.cert.display();
    let Some(says @ Certificate { names, from, until }) = &tls.says else {
        let (english, chinese) = (
            "it can be used, but not read: nobody knows until when it holds",
            "可以使用，但无法解析：不知道何时到期",
        );
        let text = format!("{file}{}{}", language.colon(), language.say(english, chinese));
        return warning(What::Certificate, text);
    };
    let (from, until) = (utc(*from), utc(*until));
    let names = names.join(language.say(", ", "、"));
    let (verdict, english, chinese): (fn(What, String) -> Finding, String, String) = match says
        .validity(now)
    {
        Validity::Holds => (
            ok,
            format!("{file}: for {names}, until {until}"),
            format!("{file}：适用于 {names}，有效期至 {until}"),
        ),
        Validity::EndsSoon => (
            warning,
            format!(
                "{file}: for {names}, until {until} only; renew it, then send SIGHUP to the workers"
            ),
            format!(
                "{file}：适用于 {names}，有效期仅至 {until}；请更新证书，然后向 worker 发送 SIGHUP"
            ),
        ),
        Validity::Expired => (
            wrong,
            format!(
                "{file}: expired at {until}, and callers refuse it; renew it, then send SIGHUP to the workers"
            ),
            format!(
                "{file}：已于 {until} 过期，调用方不会接受；请更新证书，然后向 worker 发送 SIGHUP"
            ),
        ),
        Validity::NotYet => (
            wrong,
            format!(
                "{file}: callers refuse it before {from}; set this machine's clock right, or that of who signed it"
            ),
            format!("{file}：{from} 之前调用方不会接受；请校准本机或签发方的时钟"),
        ),
    };
    let text = match language {
        Language::English => english,
        Language::Chinese => chinese,
    };
    verdict(What::Certificate, text)
}

#[cfg(test)]
mod tests {
    use zhongkong_testkit::Authority;

    use super::*;
    use crate::commands::check::Verdict;
    use crate::config::testing::encryption;

    #[test]
    fn what_is_said_of_a_certificate_follows_from_its_times() {
        let mut tls = encryption(&Authority::new().sign("a.example"));
        let at = |tls: &HttpTls, now| finding(tls, now, Language::English);
        tls.says = Some(Certificate {
            names: vec!["a.example".to_owned(), "10.0.0.1".to_owned()],
            from: 1_700_000_000,
            until: 1_800_000_000,
        });
        for (now, verdict, part) in [
            (1_700_000_000, Verdict::Ok, ": for a.example, 10.0.0.1, until 2027-01-15T08:00:00Z"),
            (1_799_999_999, Verdict::Warning, " only; renew it, then send SIGHUP"),
            (1_800_000_001, Verdict::Wrong, ": expired at 2027-01-15T08:00:00Z, and callers"),
            (
                1_699_999_999,
                Verdict::Wrong,
                "before 2023-11-14T22:13:20Z; set this machine's clock",
            ),
        ] {
            let finding = at(&tls, now);
            assert_eq!(finding.verdict, verdict, "{now}");
            assert!(finding.text.contains(part), "{}", finding.text);
        }
        tls.says = None;
        assert_eq!(at(&tls, 0).verdict, Verdict::Warning);
    }
}

//! The section `[refresh]`, and the proof that its times do not contradict those of a credential.

use std::time::Duration;

use humantime::format_duration;
use zhongkong_core::timing::{Times, Timing, TimingError};
use zhongkong_upstream::Provider;

use super::error::Place;
use super::section::Section;
use super::value::Raw;

/// WeChat's time between a token's issue and the death of the one before.
pub(super) const OVERLAP: Duration = Provider::WeChat.default_overlap();
/// After this long WeChat processes no request any more that was sent before.
pub(super) const HOLD: Duration = Provider::WeChat.default_hold();
/// Half of the life of WeChat's tokens: what exceeds it is clamped.
const AHEAD_MAX: Duration = Duration::from_hours(1);

/// When tokens are refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshConfig {
    /// A refresh begins this long before expiry.
    pub ahead: Duration,
    /// The longest wait for the upstream's answer.
    pub request_timeout: Duration,
    /// How long a claim excludes the others.
    pub lease: Duration,
    /// After this long no request of an earlier claim can be processed any more.
    pub drain: Duration,
    /// The least time between two fetches while a usable token is left.
    pub spacing: Duration,
    /// Refreshes a day and credential that reports may cause.
    pub report_budget: u32,
    /// How often a token is tried against the upstream; zero = never.
    pub probe_interval: Duration,
    /// Doubts settled a second and upstream host after a change of epoch.
    pub reconcile_rate: u32,
    /// The first wait after a refusal that a person must lift.
    pub human_poll: Duration,
}

pub(super) fn read(section: &Section<'_>) -> RefreshConfig {
    let time = |key: &str, default: Duration| section.duration(key).unwrap_or(default);
    let refresh = RefreshConfig {
        ahead: time("ahead", Duration::from_mins(10)),
        request_timeout: time("request_timeout", Duration::from_secs(5)),
        lease: time("lease", Duration::from_secs(8)),
        drain: time("drain", Duration::from_mins(1)),
        spacing: time("spacing", Duration::from_secs(30)),
        report_budget: section.read("report_budget", |raw| raw.number(1..=100_000)).unwrap_or(100),
        probe_interval: section
            .read("probe_interval", Raw::duration)
            .unwrap_or(Duration::from_mins(5)),
        reconcile_rate: section.read("reconcile_rate", |raw| raw.number(1..=10_000)).unwrap_or(50),
        human_poll: time("human_poll", Duration::from_mins(1)),
    };
    if refresh.ahead > AHEAD_MAX {
        let what = format!(
            "{} is more than half of the two hours that WeChat's tokens live, and is cut to that",
            format_duration(refresh.ahead)
        );
        section.warn("ahead", &what);
    }
    let recovery = refresh.lease + refresh.drain + 2 * refresh.request_timeout;
    if refresh.ahead < recovery {
        let what = format!(
            "{} is less than lease + drain + 2 × request_timeout ({}): a token may expire before the \
             refresh of a worker that crashed is made up for",
            format_duration(refresh.ahead),
            format_duration(recovery)
        );
        section.warn("ahead", &what);
    }
    refresh
}

/// Proves `refresh` for a credential with this `overlap` and `hold`, which `credential` gives, if there is one.
///
/// Not tried once there is a problem: what could not be read was replaced by its default.
pub(super) fn prove(
    (section, refresh): (&Section<'_>, &RefreshConfig),
    credential: Option<&Section<'_>>,
    overlap: Duration,
    hold: Duration,
) -> Option<Timing> {
    if !section.findings.is_clean() {
        return None;
    }
    let RefreshConfig { ahead, request_timeout, lease, drain, spacing, .. } = *refresh;
    let times = Times { ahead, request_timeout, lease, drain, spacing, overlap, hold };
    Timing::new(times).inspect_err(|error| blame(error, section, credential)).ok()
}

/// Reports a contradiction at the value that was said last: the others stood already.
fn blame(error: &TimingError, section: &Section<'_>, credential: Option<&Section<'_>>) {
    let owner = |key: &str| match credential {
        Some(credential) if ["overlap", "hold"].contains(&key) => (credential, true),
        _ => (section, false),
    };
    // A variable is said after any file, and what a credential says after what is said for all.
    let said = |key: &&str| {
        let (owner, special) = owner(key);
        match owner.source_of(key) {
            Place::Default => (0, false, 0),
            Place::File { line, .. } => (1, special, line.unwrap_or(0)),
            Place::Variable(_) => (2, special, 0),
        }
    };
    // The error names two; the third in that inequality is the credential's.
    let third = (error.first == "drain" && error.second == "lease").then_some("hold");
    let named = || third.into_iter().chain([error.second, error.first]);
    let last = named().max_by_key(said).unwrap_or(error.first);
    let (at, _) = owner(last);
    let others = named().filter(|key| *key != last && (Some(*key) != third || said(key).0 > 0));
    let others: Vec<String> = others
        .map(|key| {
            let (other, _) = owner(key);
            format!("{} {}", other.key(key), at.place_of(last).refer_to(&other.source_of(key)))
        })
        .collect();
    let what = format!("{}; {} (contradicts {})", error.rule, error.remedy, others.join(" and "));
    at.problem(last, &what);
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{ACCOUNT, loaded, refused, refused_with, warned};

    #[test]
    fn a_contradiction_names_both_values_and_what_would_do() {
        let toml = format!("[refresh]\nrequest_timeout = \"8s\"\nlease = \"8s\"\n{ACCOUNT}");
        let message = "zhongkong.toml:3: refresh.lease: request_timeout 8s + margin 800ms must be less \
                       than lease 8s; a lease of 12200ms would do \
                       (contradicts refresh.request_timeout at line 2)";
        refused(&toml, &[message]);
    }

    #[test]
    fn the_value_that_was_said_is_blamed_rather_than_a_default() {
        let refresh = |line: &str| format!("[refresh]\n{line}\n{ACCOUNT}");
        let account = |line: &str| format!("{ACCOUNT}{line}\n");
        for (toml, message) in [
            (refresh("request_timeout = \"8s\""), "toml:2: refresh.request_timeout: "),
            (refresh("drain = \"40s\""), "(contradicts refresh.lease by default)"),
            (refresh("drain = \"5m\""), "(contradicts credentials[0].overlap by default)"),
            (refresh("drain = \"4m 45s\""), "toml:2: refresh.drain: lease 8s + drain 285s + 2 ×"),
            (refresh("spacing = \"6m\""), "toml:2: refresh.spacing: spacing 6m must be less"),
            (account("overlap = \"1m\""), "toml:6: credentials[0].overlap: drain 1m must be less"),
            (
                refresh("drain = \"50s\"") + "hold = \"45s\"",
                "toml:8: credentials[0].hold: drain 50s must be at least lease 8s + hold 45s; a drain of \
                 53s would do (contradicts refresh.lease by default and refresh.drain at line 2)",
            ),
            (
                account("hold = \"55s\""),
                "toml:6: credentials[0].hold: drain 1m must be at least lease 8s + hold 55s; a drain \
                 of 63s would do (contradicts refresh.lease by default and refresh.drain by default)",
            ),
        ] {
            refused(&toml, &[message]);
        }
    }

    #[test]
    fn a_variable_is_blamed_before_the_file() {
        let toml = format!("[refresh]\nlease = \"8s\"\n{ACCOUNT}");
        let variable = ("ZHONGKONG__REFRESH__REQUEST_TIMEOUT", "9s");
        let begins =
            "ZHONGKONG__REFRESH__REQUEST_TIMEOUT: refresh.request_timeout: request_timeout 9s";
        refused_with(&toml, [variable], &[begins, "contradicts refresh.lease at /", "toml:2)"]);
    }

    #[test]
    fn times_are_proved_even_without_an_account() {
        refused("[refresh]\nlease = \"2s\"", &["toml:2: refresh.lease: request_timeout 5s"]);
    }

    #[test]
    fn durations_need_a_unit_and_a_time_unless_never_is_allowed() {
        for (value, part) in [
            ("8", "must be a string, found integer; write \"8s\" or \"10m\""),
            ("\"8\"", "time unit needed"),
            ("\"8x\"", "\"8x\" is no duration such as"),
            ("\"0s\"", "must be more than zero"),
            ("\"1500us\"", "not in whole milliseconds"),
            ("\"1000000 years\"", "more than a year"),
            ("\"-8s\"", "is no duration"),
        ] {
            refused(
                &format!("refresh.lease = {value}"),
                &["zhongkong.toml:1: refresh.lease: ", part],
            );
        }
        let never = loaded(&format!("[refresh]\nprobe_interval = \"0s\"\n{ACCOUNT}"));
        assert!(never.config.refresh.probe_interval.is_zero());
        refused("refresh.human_poll = \"0s\"", &["refresh.human_poll: must be more than zero"]);
        refused("refresh.reconcile_rate = 0", &["must be a whole number, 1 to 10000"]);
        refused("refresh.report_budget = 0", &["must be a whole number, 1 to 100000"]);
    }

    #[test]
    fn odd_values_are_warned_of() {
        for (line, part) in [
            ("ahead = \"2h\"", "refresh.ahead: 2h is more than half"),
            ("ahead = \"1m\"", "refresh.ahead: 1m is less than lease + drain"),
        ] {
            warned(&format!("[refresh]\n{line}\n{ACCOUNT}"), &["zhongkong.toml:2: ", part]);
        }
    }
}

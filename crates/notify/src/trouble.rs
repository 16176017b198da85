//! What a unit's state shows that a person must lift.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use zhongkong_core::credential::{Unit, Worker};
use zhongkong_core::doubt::Doubt;
use zhongkong_core::refusal::{REFUSAL_SHOWN_MS, Refusal, Scope, Status};
use zhongkong_core::state::State;

use crate::problem::Problem;

/// Names a trouble wherever it is spoken of: two workers that meet the same one name it alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What is wrong.
    pub problem: Problem,
    /// Of which unit.
    pub unit: Unit,
    /// The address that the upstream named: it is what a person has to allow, whichever workers share it.
    pub address: Option<IpAddr>,
}

/// One problem of one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What, of which unit.
    pub key: Key,
    /// The names of the workers that it concerns; empty = all.
    pub workers: BTreeSet<String>,
    /// The worker that was answered with a token last, if nothing went wrong since; else empty.
    pub answered: String,
    /// When it was last met.
    pub met_ms: u64,
    /// The upstream's code.
    pub code: Option<i64>,
    /// The upstream's words.
    pub said: String,
    /// The SDK at whose key somebody else's token was found; empty if it was not there.
    pub layout: String,
    /// When the token ends that readers still have; 0 if they have none. In milliseconds since 1970, as all instants here.
    pub expires_at_ms: u64,
    /// When it is tried again; 0 if that is not known.
    pub retry_at_ms: u64,
    /// An operator wants no refresh.
    pub paused: bool,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { problem, unit: Unit { id, kind }, address } = self;
        write!(f, "{problem} {} {kind} ", id.as_str())?;
        match address {
            Some(address) => write!(f, "{address}"),
            None => f.write_str("-"),
        }
    }
}

impl Key {
    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let problem = words.next()?.parse().ok()?;
        let unit = Unit { id: words.next()?.parse().ok()?, kind: words.next()?.parse().ok()? };
        let address = match words.next()? {
            "-" => None,
            address => Some(address.parse().ok()?),
        };
        words.next().is_none().then_some(Self { problem, unit, address })
    }
}

/// What is wrong with `unit` in `state`, at the store's time `now_ms`, for the cluster of which `living` are the workers'
/// identities.
///
/// A refusal to a worker, or to those with one configuration, is over when *they* were answered otherwise, or are gone and
/// others refresh; that others refresh at all says nothing of it (protocol: "Refusals have a scope").
pub fn troubles(unit: &Unit, state: &State, now_ms: u64, living: &[String]) -> Vec<Trouble> {
    if !state.exists() {
        return Vec::new();
    }
    let blank = |problem, address| Trouble {
        key: Key { problem, unit: unit.clone(), address },
        workers: BTreeSet::new(),
        answered: if state.status == Status::Ok { state.worker.clone() } else { String::new() },
        met_ms: now_ms,
        code: None,
        said: String::new(),
        layout: String::new(),
        expires_at_ms: if state.usable(now_ms) { state.expires_at_ms } else { 0 },
        retry_at_ms: 0,
        paused: state.is_paused(),
    };
    let mut found: Vec<Trouble> = Vec::new();
    for refusal in state.refusals.iter().filter(|refusal| lasts(refusal, state, now_ms, living)) {
        let Some(problem) = Problem::of(refusal.status) else { continue };
        let address = address_in(&refusal.message).filter(|_| problem.is_of_an_address());
        let place = found.iter().position(|t| t.key.problem == problem && t.key.address == address);
        let place = place.unwrap_or_else(|| {
            found.push(Trouble { met_ms: 0, ..blank(problem, address) });
            found.len() - 1
        });
        let Some(trouble) = found.get_mut(place) else { continue };
        let who = match refusal.scope {
            Scope::Worker => refusal.key.as_str(),
            Scope::Configuration => refusal.by.as_str(),
            Scope::Account | Scope::Transient => "",
        };
        if !who.is_empty() {
            trouble.workers.insert(Worker::name_of(who).to_owned());
        }
        trouble.met_ms = trouble.met_ms.max(refusal.at_ms);
        trouble.code = refusal.code;
        trouble.said.clone_from(&refusal.message);
        trouble.retry_at_ms = refusal.retry_at_ms;
    }
    // An operator's force lifts refusals, and a pause hides how the last attempt ended: what it was called stays until the
    // next one.
    if let Some(problem) = Problem::of(state.status)
        && !found.iter().any(|trouble| trouble.key.problem == problem)
    {
        let address = address_in(&state.error_message).filter(|_| problem.is_of_an_address());
        let mut trouble = blank(problem, address);
        if problem.is_of_an_address() && !state.worker.is_empty() {
            trouble.workers.insert(state.worker.clone());
        }
        trouble.met_ms = state.claimed_at_ms;
        trouble.code = state.error_code;
        trouble.said.clone_from(&state.error_message);
        trouble.retry_at_ms = state.retry_at_ms;
        found.push(trouble);
    }
    if state.doubt.contains(Doubt::Foreign) {
        let layout = state.layout.clone();
        found.push(Trouble { layout, ..blank(Problem::ForeignRefresh, None) });
    }
    if state.lost && !state.usable(now_ms) {
        found.push(blank(Problem::TokenLost, None));
    }
    found
}

/// Whether a refusal is not known to be over.
fn lasts(refusal: &Refusal, state: &State, now_ms: u64, living: &[String]) -> bool {
    // What nobody can know better about, since nobody was given a token after it.
    let unanswered = state.status != Status::Ok && state.issued_at_ms <= refusal.at_ms;
    match refusal.scope {
        Scope::Account | Scope::Transient => true,
        Scope::Configuration => {
            // One that has another secret now was answered with it. That cannot be seen of one whose turn did not come yet:
            // it would try at once, so it is not waited for beyond the time of the refusal.
            let answered = state.status == Status::Ok && state.holder == refusal.by;
            let held = living.contains(&refusal.by) && refusal.retry_at_ms > now_ms;
            unanswered || (held && !answered)
        }
        Scope::Worker => {
            // A worker of that name that was started again calls from the same place, and was not answered yet.
            let name = Worker::name_of(&refusal.key);
            let again = living.iter().any(|identity| Worker::name_of(identity) == name);
            let recent = refusal.at_ms.saturating_add(REFUSAL_SHOWN_MS) > now_ms;
            let answered = state.worker == name;
            let itself = living.contains(&refusal.key);
            // Where others refresh, its turn may never come; that is not waited for for ever.
            unanswered || (recent && (itself || (again && !answered)))
        }
    }
}

/// The first address in the upstream's words, as in `invalid ip 10.0.0.7 ipv6 ::ffff:10.0.0.7, not in whitelist`.
fn address_in(words: &str) -> Option<IpAddr> {
    let words = words.split(|c: char| !(c.is_ascii_hexdigit() || c == '.' || c == ':'));
    // A word such as `requestIP:` leaves a colon that is no address.
    let address: IpAddr = words.filter(|word| word.len() > 2).find_map(|word| {
        word.trim_start_matches(|c| c == ':' && !word.starts_with("::")).parse().ok()
    })?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use zhongkong_core::token::Fingerprint;

    use super::*;
    use crate::testing::{NOW, refused, unit};

    fn problems(state: &State, living: &[&str]) -> Vec<(Problem, Vec<String>)> {
        let living: Vec<String> = living.iter().map(ToString::to_string).collect();
        let found = troubles(&unit("wx1"), state, NOW, &living);
        found.into_iter().map(|t| (t.key.problem, t.workers.into_iter().collect())).collect()
    }

    #[test]
    fn a_key_is_read_back_as_it_was_written() {
        for address in [None, Some("10.0.0.7".parse().unwrap()), Some("fd00::7".parse().unwrap())] {
            let key = Key { problem: Problem::IpNotAllowed, unit: unit("wx1"), address };
            assert_eq!(Key::parse(&key.to_string()), Some(key));
        }
        assert_eq!(Key::parse("sent"), None);
        assert_eq!(Key::parse("blocked wx1 access_token - more"), None);
    }

    #[test]
    fn the_address_is_found_in_every_form_of_the_upstreams_words() {
        for (words, address) in [
            ("invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist rid: 65112232", "1.2.3.4"),
            ("invalid ip 1.2.3.4, not in whitelist hint: [KJZfAa0644e575]", "1.2.3.4"),
            ("access clientip is not registered requestIP: 1.2.3.4 rid: 1-2", "1.2.3.4"),
            ("access clientip is not registered requestIP:1.2.3.4", "1.2.3.4"),
            ("invalid ip fd00::7, not in whitelist", "fd00::7"),
        ] {
            assert_eq!(address_in(words), Some(address.parse().unwrap()), "{words}");
        }
        for words in ["", "此IP调用需要管理员确认 rid: 65112232-35da441e-28f02baf", "at 10:20:30"]
        {
            assert_eq!(address_in(words), None, "{words}");
        }
    }

    #[test]
    fn what_one_worker_is_refused_is_not_over_because_another_refreshes() {
        let mut state = refused(Scope::Worker, Status::IpNotAllowed, "worker-1#01");
        state.status = Status::Ok;
        state.issued_at_ms = NOW - 1;
        state.worker = "worker-2".to_owned();
        let mine = vec![(Problem::IpNotAllowed, vec!["worker-1".to_owned()])];
        assert_eq!(problems(&state, &["worker-1#01", "worker-2#02"]), mine);
        // Started again, it was not answered yet.
        assert_eq!(problems(&state, &["worker-1#03", "worker-2#02"]), mine);
        // It is gone, and nobody waits for it.
        assert_eq!(problems(&state, &["worker-2#02"]), []);
        state.worker = "worker-1".to_owned();
        assert_eq!(problems(&state, &["worker-1#03", "worker-2#02"]), []);
    }

    #[test]
    fn a_restart_of_all_workers_leaves_a_refusal_that_nobody_refuted() {
        for scope in [Scope::Worker, Scope::Configuration, Scope::Account] {
            let state = refused(scope, Status::Misconfigured, "worker-1#01");
            assert_eq!(problems(&state, &["other#02"]).len(), 1, "{scope:?}");
            let answered = State { status: Status::Ok, issued_at_ms: NOW, ..state };
            let left = usize::from(scope == Scope::Account);
            assert_eq!(problems(&answered, &["other#02"]).len(), left, "{scope:?}");
        }
    }

    #[test]
    fn a_wrong_secret_is_over_when_whoever_had_it_is_answered_or_its_time_has_passed() {
        let mut state = refused(Scope::Configuration, Status::Misconfigured, "worker-1#01");
        state.status = Status::Ok;
        state.issued_at_ms = NOW;
        state.holder = "worker-2#02".to_owned();
        let living = ["worker-1#01", "worker-2#02"];
        assert_eq!(problems(&state, &living).len(), 1, "another worker has another secret");
        assert_eq!(problems(&state, &living[1..]), [], "it is gone");
        state.holder = "worker-1#01".to_owned();
        assert_eq!(problems(&state, &living), []);
        state.holder = "worker-2#02".to_owned();
        state.refusals[0].retry_at_ms = NOW;
        assert_eq!(problems(&state, &living), []);
    }

    #[test]
    fn workers_behind_one_address_are_one_trouble() {
        let mut state = refused(Scope::Worker, Status::IpNotAllowed, "worker-1#01");
        let other = Refusal { key: "worker-2#02".to_owned(), ..state.refusals[0].clone() };
        let elsewhere = Refusal {
            key: "worker-3#03".to_owned(),
            message: "invalid ip 10.0.0.8, not in whitelist".to_owned(),
            ..state.refusals[0].clone()
        };
        state.refusals.extend([other, elsewhere]);
        let found = problems(&state, &["worker-1#01", "worker-2#02", "worker-3#03"]);
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            found,
            [
                (Problem::IpNotAllowed, names(&["worker-1", "worker-2"])),
                (Problem::IpNotAllowed, names(&["worker-3"])),
            ]
        );
    }

    #[test]
    fn a_lifted_refusal_lasts_until_the_next_attempt_says_otherwise() {
        let mut state = refused(Scope::Account, Status::AccountFrozen, "");
        state.refusals.clear();
        assert_eq!(problems(&state, &[]).len(), 1);
        state.status = Status::Retrying;
        assert_eq!(problems(&state, &[]), []);
    }

    #[test]
    fn nobody_is_needed_for_what_passes_by_itself() {
        let retrying = refused(Scope::Transient, Status::Retrying, "");
        let throttled = refused(Scope::Account, Status::Throttled, "");
        for state in [State::default(), retrying, throttled] {
            assert_eq!(problems(&state, &[]), []);
        }
    }

    #[test]
    fn a_token_that_ended_without_the_next_and_a_foreign_refresh_are_told() {
        let mut state = State { v: 1, fingerprint: Some(Fingerprint::of("T")), ..State::default() };
        state.expires_at_ms = NOW;
        assert_eq!(problems(&state, &[]), [], "nobody announced it yet");
        state.lost = true;
        assert_eq!(problems(&state, &[]), [(Problem::TokenLost, vec![])]);
        state.expires_at_ms = NOW + 1;
        assert_eq!(problems(&state, &[]), []);
        let fields = [("v", "1"), ("doubt", "epoch,foreign")];
        assert_eq!(problems(&State::from_fields(fields), &[]), [(Problem::ForeignRefresh, vec![])]);
    }
}

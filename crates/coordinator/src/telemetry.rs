//! Log lines and metrics of refreshes. Never a token, never a secret: fingerprints and the upstream's own words only.

use std::collections::BTreeMap;

use metrics::{counter, gauge};
use zhongkong_core::adopt::AdoptAnswer;
use zhongkong_core::claim::ClaimAnswer;
use zhongkong_core::clock::millis;
use zhongkong_core::credential::{Kind, Unit};
use zhongkong_core::doubt::Doubt;
use zhongkong_core::outlook::Reason;
use zhongkong_core::ports::StoreError;
use zhongkong_core::publication::{Outcome, Was};
use zhongkong_core::refusal::{Scope, Status};
use zhongkong_core::report::ReportAnswer;
use zhongkong_core::state::State;
use zhongkong_layouts::Layout;

use crate::refresh::{Ended, Ending};

/// Where the credential's name would make too many series, they fold into one.
const FOLDED: &str = "";

/// Writes metrics with or without the credentials' names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Telemetry {
    pub(crate) name_credentials: bool,
}

impl Telemetry {
    fn id(self, unit: &Unit) -> String {
        if self.name_credentials { unit.id.to_string() } else { FOLDED.to_owned() }
    }

    /// Counters on which alerts are built are there before they count: the first event is a rise, too.
    pub(crate) fn begin<'a>(self, units: impl Iterator<Item = &'a Unit>) {
        for name in ["zhongkong_fenced_commits_total", "zhongkong_unprotected_total"] {
            counter!(name).increment(0);
        }
        for unit in units {
            counter!("zhongkong_foreign_refreshes_total", "id" => self.id(unit)).increment(0);
        }
    }

    /// A refresh ended: one line, and its counters.
    pub(crate) fn ended(self, ended: &Ended, worker: &str) {
        let Ended { unit, observed, raised, result, .. } = ended;
        if *result == Ending::NoAccessToken {
            tracing::debug!(
                credential.id = %unit.id, kind = %unit.kind,
                "readers find no access token, so none is claimed to get this with; it waits"
            );
            return;
        }
        tell_doubts(unit, raised, observed.as_ref().map(|observed| &observed.state));
        let claim = match result {
            Ending::NotClaimed(ClaimAnswer::Held { .. }) => "held",
            Ending::NotClaimed(ClaimAnswer::NotOwed { .. }) => "not_owed",
            Ending::NotClaimed(ClaimAnswer::Paused) => "paused",
            Ending::NotClaimed(ClaimAnswer::Newer { .. }) => "newer",
            Ending::Store { sent: false, .. } => "unavailable",
            _ => "claimed",
        };
        counter!("zhongkong_claims_total", "outcome" => claim).increment(1);
        let count = |reason: Reason, outcome: &'static str| {
            counter!(
                "zhongkong_refreshes_total",
                "id" => self.id(unit), "kind" => unit.kind.as_str(),
                "reason" => reason.as_str(), "outcome" => outcome,
            )
            .increment(1);
        };
        let (id, kind) = (&unit.id, unit.kind);
        let state = observed.as_ref().map(|observed| &observed.state);
        match result {
            Ending::NoAccessToken | Ending::NotClaimed(_) => {}
            Ending::Committed { reason, changed, assumed, .. } => {
                count(*reason, if *changed { "refreshed" } else { "unchanged" });
                tell_committed(unit, state, *reason, *changed);
                if !*changed && *reason == Reason::Reported {
                    tell_insisting(unit);
                }
                if *assumed {
                    tracing::warn!(
                        credential.id = %id, %kind,
                        "the upstream named no usable life for this token; it is published with a short one"
                    );
                }
            }
            Ending::Fenced { reason } => {
                count(*reason, "fenced");
                counter!("zhongkong_fenced_commits_total").increment(1);
                tracing::warn!(
                    credential.id = %id, %kind,
                    "this worker's token came after another worker's claim: it is not published, \
                     and one more fetch makes sure that readers have the newest. \
                     The worker was paused, or its lease is too short"
                );
            }
            Ending::Refused { reason, code, message, ruling, retry_in } => {
                count(*reason, "refused");
                self.count_error(unit, *code);
                let others = match ruling.scope {
                    Scope::Configuration if kind.ticket().is_some() => {
                        "; the next access token is tried at once"
                    }
                    Scope::Worker => "; another worker may still refresh",
                    Scope::Configuration => "; a worker with another secret may still refresh",
                    Scope::Account | Scope::Transient => "",
                };
                tracing::warn!(
                    credential.id = %id, %kind, upstream.code = code, upstream.message = message,
                    status = %ruling.status, retry_in_ms = millis(*retry_in), worker,
                    "the upstream refused: {}{others}. What to do: {}", ruling.meaning.en, ruling.advice.en
                );
            }
            Ending::Unknown { reason, why, code, retry_in } => {
                count(*reason, "unknown");
                if let Some(code) = code {
                    self.count_error(unit, *code);
                }
                tracing::warn!(
                    credential.id = %id, %kind, why, retry_in_ms = millis(*retry_in),
                    "no clear answer from the upstream: it may have issued a token that nobody has. \
                     Readers keep theirs; a later fetch settles it"
                );
            }
            Ending::NotSent { reason, why, retry_in } => {
                count(*reason, "not_sent");
                tracing::warn!(
                    credential.id = %id, %kind, why, retry_in_ms = millis(*retry_in),
                    "the request was not sent; nothing changed, and it is tried again"
                );
            }
            // That Redis is away is said once for all units.
            Ending::Store { error, sent: false } => tracing::debug!(
                credential.id = %id, %kind, %error,
                "redis granted no claim, so nothing was sent; tried again"
            ),
            Ending::Store { error, sent: true } => tracing::warn!(
                credential.id = %id, %kind, %error,
                "redis did not take what came of a request; another worker takes the claim over and settles it"
            ),
        }
    }

    /// What a report came to in the store: a mark, and perhaps the news that somebody else refreshes.
    pub(crate) fn marked(self, unit: &Unit, answer: ReportAnswer) {
        let ReportAnswer::Marked { foreign: true, .. } = answer else { return };
        self.count_foreign(unit, true);
        tracing::warn!(
            credential.id = %unit.id, kind = %unit.kind, doubt = Doubt::Foreign.as_str(),
            "the upstream rejects the newest token that this cluster knows: somebody else refreshes with the same \
             AppSecret. A new token is fetched. What to do: look for another program or person that uses this AppSecret, \
             and stop it, or reset the AppSecret"
        );
    }

    /// Somebody else's token was found over ours at the key of an SDK, and the platform accepts it.
    pub(crate) fn found_stranger(self, unit: &Unit, layout: &str, answer: AdoptAnswer) {
        let meanwhile = match answer {
            AdoptAnswer::Adopted { .. } => {
                "its token is published for all readers, and one of the cluster's own is fetched"
            }
            AdoptAnswer::Doubted => "the cluster's stays published, and one more fetch settles it",
            AdoptAnswer::Superseded => "the cluster's was fetched later, and stays",
            AdoptAnswer::Known => return,
        };
        self.count_foreign(unit, answer != AdoptAnswer::Superseded);
        tracing::warn!(
            credential.id = %unit.id, kind = %unit.kind, layout, meanwhile,
            "a service with this SDK fetched a token of its own, and each such fetch kills the token before it. What to do: \
             find the service that reads the keys of this layout and still has the real AppSecret, and give it a dummy \
             secret, see docs/sdks.md"
        );
    }

    fn count_foreign(self, unit: &Unit, in_doubt: bool) {
        counter!("zhongkong_foreign_refreshes_total", "id" => self.id(unit)).increment(1);
        if in_doubt {
            counter!("zhongkong_doubts_total", "reason" => Doubt::Foreign.as_str()).increment(1);
        }
    }

    fn count_error(self, unit: &Unit, code: i64) {
        let (id, code) = (self.id(unit), code.to_string());
        counter!("zhongkong_upstream_errors_total", "id" => id, "code" => code).increment(1);
    }

    /// A unit's state was seen: its gauges.
    pub(crate) fn seen(self, unit: &Unit, state: &State) {
        if !self.name_credentials {
            return;
        }
        let id = unit.id.as_str();
        Gauges::of(&[state]).set(id, unit.kind);
        gauge!("zhongkong_token_generation", "id" => id.to_owned(), "kind" => unit.kind.as_str())
            .set(state.generation as f64);
    }

    /// Where credentials are not named: the gauges of all units together, of each kind.
    pub(crate) fn seen_together<'a>(self, units: impl Iterator<Item = (Kind, &'a State)>) {
        if self.name_credentials {
            return;
        }
        let mut of_kind: BTreeMap<Kind, Vec<&State>> = BTreeMap::new();
        for (kind, state) in units {
            of_kind.entry(kind).or_default().push(state);
        }
        for (kind, states) in of_kind {
            Gauges::of(&states).set(FOLDED, kind);
        }
    }

    /// A unit is kept no more. A gauge cannot be taken back, and what it said last would raise alarms for ever.
    pub(crate) fn gone(self, unit: &Unit) {
        if !self.name_credentials {
            return;
        }
        Gauges { expires_seconds: f64::NAN, ..Gauges::of(&[]) }.set(unit.id.as_str(), unit.kind);
    }
}

/// What the gauges say of one unit, or of many.
struct Gauges {
    /// The first end of a token's life.
    expires_seconds: f64,
    in_doubt: usize,
    statuses: [(Status, usize); Status::ALL.len()],
}

impl Gauges {
    fn of(states: &[&State]) -> Self {
        let count = |of: &dyn Fn(&State) -> bool| states.iter().filter(|state| of(state)).count();
        let first_end_ms = states.iter().map(|state| state.expires_at_ms).min().unwrap_or_default();
        Self {
            expires_seconds: first_end_ms as f64 / 1_000.0,
            in_doubt: count(&|state| !state.doubt.is_empty()),
            statuses: Status::ALL.map(|status| (status, count(&|state| state.status == status))),
        }
    }

    fn set(&self, id: &str, kind: Kind) {
        let labels = [("id", id.to_owned()), ("kind", kind.as_str().to_owned())];
        gauge!("zhongkong_token_expires_timestamp_seconds", &labels).set(self.expires_seconds);
        gauge!("zhongkong_unit_in_doubt", &labels).set(self.in_doubt as f64);
        for (status, units) in self.statuses {
            gauge!(
                "zhongkong_unit_status",
                "id" => id.to_owned(), "kind" => kind.as_str(), "status" => status.as_str(),
            )
            .set(units as f64);
        }
    }
}

/// What came of a publication at the keys of one SDK. That somebody removed one is told aloud once for each token.
pub(crate) fn published(unit: &Unit, layout: &Layout, outcomes: &[Outcome], aloud: bool) {
    let name = layout.family.name;
    let Some(outcome) = outcomes.iter().find_map(Outcome::as_str) else { return };
    count_published(name, outcome);
    for (key, outcome) in layout.keys.iter().zip(outcomes) {
        let what = match outcome {
            Outcome::Repaired(Was::Gone) => "deleted",
            Outcome::Repaired(Was::Other(_)) => "overwritten",
            _ => continue,
        };
        let key = key.name.as_str();
        if aloud {
            tracing::warn!(
                credential.id = %unit.id, kind = %unit.kind, layout = name, key, what,
                "somebody else deleted or overwrote the key that this SDK reads; published again. An SDK does so when \
                 the platform refused its token, or when it fetches for itself: give that service a dummy secret"
            );
        } else {
            tracing::debug!(credential.id = %unit.id, kind = %unit.kind, layout = name, key, what, "published again");
        }
    }
}

/// The keys of one SDK could not be written; told once for as long as that lasts.
pub(crate) fn not_published(unit: &Unit, layout: &Layout, error: &StoreError, is_news: bool) {
    let name = layout.family.name;
    count_published(name, "failed");
    if is_news {
        tracing::error!(
            credential.id = %unit.id, kind = %unit.kind, layout = name, %error,
            "the keys that this SDK reads could not be written, and its services may hold an old token; trying until \
             they are. What to do: `zhongkong check` says whether the worker's user lacks a right"
        );
    }
}

/// The upstream goes on handing out what readers say is rejected.
fn tell_insisting(unit: &Unit) {
    let (id, kind) = (&unit.id, unit.kind);
    if kind.ticket().is_some() {
        tracing::warn!(
            credential.id = %id, %kind,
            "readers report this ticket as rejected, and the upstream goes on handing it out. \
             Compare the URL that was signed with the page's, without its fragment, and the page's domain with those in \
             the account's console"
        );
    } else {
        tracing::warn!(
            credential.id = %id, %kind,
            "readers report this token as rejected, and the upstream goes on handing it out. \
             If calls with it fail, `zhongkong refresh {id} --invalidate` has it replaced"
        );
    }
}

fn count_published(layout: &'static str, outcome: &'static str) {
    counter!("zhongkong_published_total", "layout" => layout, "outcome" => outcome).increment(1);
}

/// A report was answered, or an entry of the stream served.
pub(crate) fn reported(outcome: &'static str) {
    counter!("zhongkong_reports_total", "outcome" => outcome).increment(1);
}

fn tell_doubts(unit: &Unit, raised: &[Doubt], state: Option<&State>) {
    for doubt in raised {
        let reason = doubt.as_str();
        counter!("zhongkong_doubts_total", "reason" => reason).increment(1);
        // An answer that settles it at once is no news to people.
        if state.is_none_or(|state| state.doubt.contains(*doubt)) {
            tracing::info!(
                credential.id = %unit.id, kind = %unit.kind, doubt = reason,
                "doubt: this token may not be the newest; one more fetch settles it"
            );
        }
    }
}

fn tell_committed(unit: &Unit, state: Option<&State>, reason: Reason, changed: bool) {
    let Some(state) = state else { return };
    let fingerprint = state.fingerprint.as_ref().map(ToString::to_string).unwrap_or_default();
    let doubt = state.doubt.to_string();
    let life_ms = state.expires_at_ms.saturating_sub(state.issued_at_ms);
    tracing::info!(
        credential.id = %unit.id, kind = %unit.kind, fence = state.fence,
        generation = state.generation, fingerprint, reason = reason.as_str(), life_ms, doubt,
        "{}", if changed { "refreshed" } else { "the upstream confirmed the token" }
    );
}

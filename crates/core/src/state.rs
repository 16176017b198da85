//! What the store knows of a unit: the fields of the state hash, and what follows from them.

use std::collections::BTreeMap;

use crate::doubt::{Doubt, Doubts};
use crate::outlook::Reason;
use crate::refusal::{Refusal, Status};
use crate::token::{Fingerprint, Token};

/// The version of the state that this code reads and writes.
pub const VERSION: u32 = 1;

/// The highest number that is read: in microseconds the year 2112. Lua still adds two of them without loss.
pub const NUMBER_MAX: u64 = 1 << 52;

/// How far an instant may lie in the future before the clock must have gone back, in milliseconds.
///
/// A step smaller than this moves no deadline that matters.
pub const CLOCK_SLACK_MS: u64 = 1_000;

/// A unit's state. Zero and empty mean "never"; a state of which `v` is 0 does not exist yet.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of the hash with its own meaning"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Version of the layout; one above [`VERSION`] is read, and left alone.
    pub v: u32,
    /// The epoch on which this state was last reconciled; only a claim sets it.
    pub epoch: String,

    /// Number of the last claim, or of what was adopted since.
    pub fence: u64,
    /// What tells a repetition of that from another claim.
    pub nonce: String,
    /// Identity of the last claim's worker.
    pub holder: String,
    /// Name of the last claim's worker.
    pub worker: String,
    /// The last claim's keyed hash of provider, account and secret.
    pub configuration: String,
    /// When the last claim was made.
    pub claimed_at_ms: u64,
    /// How long the last claim excludes others, as its worker asked for it.
    pub lease_ms: u64,
    /// Whether the last claim's outcome is still open.
    pub intent: bool,
    /// Why the last claim's refresh was owed, while its outcome is open.
    pub reason: Option<Reason>,
    /// The claim's note that all doubt had drained when it was made (rule R5).
    pub drained: bool,

    /// Why the token may not be the newest.
    pub doubt: Doubts,
    /// When the requests that the doubt is about can no longer be processed.
    pub drains_at_ms: u64,
    /// The drain with which the doubt was raised: the furthest ahead that `drains_at_ms` can be.
    pub drain_ms: u64,
    /// Unknown outcomes since the last commit (rule R14).
    pub unknowns: u32,
    /// Older unknown outcomes that the last commit could not rule out (rule R14).
    pub unknowns_before: u32,
    /// Claim time of the first call after which the token may have begun to die (rule R14).
    pub unsure_from_ms: u64,
    /// Claim time of the last call that may have had an effect, or when a token was adopted: spacing counts from here (rule R12).
    pub spaced_from_ms: u64,

    /// The copy of the token (rule R13); absent in events and in views.
    pub token: Option<Token>,
    /// The token's fingerprint.
    pub fingerprint: Option<Fingerprint>,
    /// The fingerprint of the token before it.
    pub previous: Option<Fingerprint>,
    /// The fence under which the token was committed, or adopted.
    pub token_fence: u64,
    /// Counts the tokens of this unit.
    pub generation: u64,
    /// When the request that issued the token was sent; of an adopted one, that of the one which it replaced.
    pub issued_at_ms: u64,
    /// When the token's life ends.
    pub expires_at_ms: u64,
    /// When the next refresh is due.
    pub refresh_at_ms: u64,
    /// The upstream named no usable life, so one of `overlap` is assumed; or that of the token which an adopted one replaced.
    pub assumed: bool,
    /// The SDK at whose key the token was found that the doubt `foreign` is about, by the name of its layout.
    pub layout: String,
    /// Readers' word that the token is rejected, or an operator's wish to replace it.
    pub rejected: Option<Mark>,
    /// From when the mark is served.
    pub rejected_from_ms: u64,
    /// The end of the token's life without a successor was announced.
    pub lost: bool,

    /// The fingerprint that was reported last.
    pub reported: Option<Fingerprint>,
    /// When it was first reported.
    pub reported_at_ms: u64,
    /// The day (of +08:00, since 1970) to which `report_count` belongs.
    pub report_day: u64,
    /// Refreshes that reports caused on that day.
    pub report_count: u32,
    /// When the probe last accepted the token, on behalf of a report.
    pub alive_at_ms: u64,
    /// Somebody tries the probe on behalf of a report, and has ended by then.
    pub probing_until_ms: u64,
    /// When the last mark was made that was no operator's.
    pub marked_at_ms: u64,
    /// Such marks that came soon one after the other: each doubles the spacing before the next is served.
    pub strain: u32,

    /// The claim that may have asked an idempotent upstream to kill its token; 0 once its request can have no more effect.
    pub invalidating: u64,
    /// When the last invalidation is served.
    pub invalidated_at_ms: u64,
    /// The day (of +08:00, since 1970) to which `invalidate_count` belongs.
    pub invalidate_day: u64,
    /// Invalidations of that day.
    pub invalidate_count: u32,

    /// How the last attempt ended.
    pub status: Status,
    /// The upstream's code of the last refusal.
    pub error_code: Option<i64>,
    /// What the last failure was, in words.
    pub error_message: String,
    /// When the last refusal is tried again.
    pub retry_at_ms: u64,
    /// Failures in a row that concern every worker: what backoff counts.
    pub failures: u32,
    /// Refusals in force, by scope.
    pub refusals: Vec<Refusal>,
}

/// Why the token is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Readers reported it, and it was confirmed.
    Reported,
    /// Somebody else fetched it: one of the cluster's own is to follow.
    Adopted,
    /// An operator forces a refresh.
    Forced,
    /// An operator wants the token dead at once; a claim that takes this on leaves [`Self::Forced`] behind.
    Invalidated,
}

/// What a worker knows of its own earlier claims of a unit, and so what a state must show (rule R7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The highest fence that this worker has seen of the unit.
    pub remembered: u64,
    /// Its last claim, also one whose reply was lost; none once a later claim was seen in the same epoch.
    pub own: Option<OwnClaim>,
}

/// A worker's last claim of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnClaim {
    /// Its number; 0 if the reply was lost.
    pub fence: u64,
    /// Its nonce.
    pub nonce: String,
    /// The epoch in which it was made, or sent.
    pub epoch: String,
}

impl Mark {
    /// Every mark.
    pub const ALL: [Self; 4] = [Self::Reported, Self::Adopted, Self::Forced, Self::Invalidated];

    /// The name in the state.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Adopted => "adopted",
            Self::Forced => "forced",
            Self::Invalidated => "invalidated",
        }
    }

    /// Whether an operator asked for it.
    pub const fn is_an_operators(self) -> bool {
        matches!(self, Self::Forced | Self::Invalidated)
    }

    fn from_str(text: &str) -> Option<Self> {
        match text {
            "reported" => Some(Self::Reported),
            "adopted" => Some(Self::Adopted),
            "forced" => Some(Self::Forced),
            "invalidated" => Some(Self::Invalidated),
            _ => None,
        }
    }
}

impl State {
    /// Whether there is a state at all.
    pub const fn exists(&self) -> bool {
        self.v > 0
    }

    /// The SDK at whose key somebody else's token was found, while that is in doubt.
    pub fn found_at(&self) -> Option<&str> {
        let found = self.doubt.contains(Doubt::Foreign) && !self.layout.is_empty();
        found.then_some(self.layout.as_str())
    }

    /// Whether readers have a token that is not past its life.
    pub fn usable(&self, now_ms: u64) -> bool {
        self.fingerprint.is_some() && self.expires_at_ms > now_ms
    }

    /// When the last claim's lease ends.
    pub const fn until_ms(&self) -> u64 {
        self.claimed_at_ms.saturating_add(self.lease_ms)
    }

    /// Whether the last claim still excludes others.
    ///
    /// A lease that ends further ahead than its own length was made before the clock went back: it is over.
    pub const fn claim_is_current(&self, now_ms: u64) -> bool {
        self.intent && now_ms < self.until_ms() && self.claimed_at_ms <= now_ms + CLOCK_SLACK_MS
    }

    /// Whether the last claim's worker never told its outcome, and its lease ran out.
    pub const fn holder_is_dead(&self, now_ms: u64) -> bool {
        self.intent && !self.claim_is_current(now_ms)
    }

    /// Whether the state shows `own`, by fence and nonce (by nonce alone if the fence was never learnt).
    pub fn shows(&self, own: &OwnClaim) -> bool {
        self.nonce == own.nonce && (own.fence == 0 || self.fence == own.fence)
    }

    /// Whether an instant lies further ahead than its own maximum, so that the store's clock must have gone back.
    pub fn clock_went_back(&self, now_ms: u64) -> bool {
        let latest = now_ms + CLOCK_SLACK_MS;
        self.issued_at_ms > latest
            || self.claimed_at_ms > latest
            || self.spaced_from_ms > latest
            || self.reported_at_ms > latest
            || self.alive_at_ms > latest
            || self.marked_at_ms > latest
            || self.drains_at_ms > latest.saturating_add(self.drain_ms)
            || self.refusals.iter().any(|refusal| refusal.is_of_the_future(now_ms))
    }

    /// The fields as they stand in the hash; zero, empty and absent are left out.
    pub fn to_fields(&self) -> BTreeMap<&'static str, String> {
        let mut fields = BTreeMap::new();
        let mut put = |name, value: String| {
            if !value.is_empty() && value != "0" {
                fields.insert(name, value);
            }
        };
        let flag = |set: bool| if set { "1".to_owned() } else { String::new() };
        put("v", self.v.to_string());
        put("epoch", self.epoch.clone());
        put("fence", self.fence.to_string());
        put("nonce", self.nonce.clone());
        put("holder", self.holder.clone());
        put("worker", self.worker.clone());
        put("configuration", self.configuration.clone());
        put("claimed_at_ms", self.claimed_at_ms.to_string());
        put("lease_ms", self.lease_ms.to_string());
        put("intent", flag(self.intent));
        put("reason", self.reason.map_or("", Reason::name).to_owned());
        put("drained", flag(self.drained));
        put("doubt", self.doubt.to_string());
        put("drains_at_ms", self.drains_at_ms.to_string());
        put("drain_ms", self.drain_ms.to_string());
        put("unknowns", self.unknowns.to_string());
        put("unknowns_before", self.unknowns_before.to_string());
        put("unsure_from_ms", self.unsure_from_ms.to_string());
        put("spaced_from_ms", self.spaced_from_ms.to_string());
        put("token", self.token.as_ref().map_or(String::new(), |t| t.expose().to_owned()));
        put("fingerprint", self.fingerprint.as_ref().map_or(String::new(), ToString::to_string));
        put("previous", self.previous.as_ref().map_or(String::new(), ToString::to_string));
        put("token_fence", self.token_fence.to_string());
        put("generation", self.generation.to_string());
        put("issued_at_ms", self.issued_at_ms.to_string());
        put("expires_at_ms", self.expires_at_ms.to_string());
        put("refresh_at_ms", self.refresh_at_ms.to_string());
        put("assumed", flag(self.assumed));
        put("layout", self.layout.clone());
        put("rejected", self.rejected.map_or("", Mark::as_str).to_owned());
        put("rejected_from_ms", self.rejected_from_ms.to_string());
        put("lost", flag(self.lost));
        put("reported", self.reported.as_ref().map_or(String::new(), ToString::to_string));
        put("reported_at_ms", self.reported_at_ms.to_string());
        put("report_day", self.report_day.to_string());
        put("report_count", self.report_count.to_string());
        put("alive_at_ms", self.alive_at_ms.to_string());
        put("probing_until_ms", self.probing_until_ms.to_string());
        put("marked_at_ms", self.marked_at_ms.to_string());
        put("strain", self.strain.to_string());
        put("invalidating", self.invalidating.to_string());
        put("invalidated_at_ms", self.invalidated_at_ms.to_string());
        put("invalidate_day", self.invalidate_day.to_string());
        put("invalidate_count", self.invalidate_count.to_string());
        let told = self.exists() || self.status != Status::default();
        put("status", if told { self.status.to_string() } else { String::new() });
        put("error_code", self.error_code.map_or(String::new(), |code| code.to_string()));
        put("error_message", self.error_message.clone());
        put("retry_at_ms", self.retry_at_ms.to_string());
        put("failures", self.failures.to_string());
        if !self.refusals.is_empty() {
            put("refusals", serde_json::to_string(&self.refusals).unwrap_or_default());
        }
        fields
    }

    /// Reads the hash. What cannot be read counts as absent: the fences still guard a state that somebody edited by hand.
    ///
    /// A token of which there is no copy cannot be published again: it is none.
    pub fn from_fields<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut state = Self::from_view(fields);
        if state.token.is_none() {
            state.fingerprint = None;
        }
        state
    }

    /// Reads what a script shows of the hash: all but the token.
    pub fn from_view<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        // As in the scripts, zero is absent in whatever field it stands.
        let fields: BTreeMap<&str, &str> =
            fields.into_iter().filter(|(_, text)| *text != "0").collect();
        let text = |name: &str| fields.get(name).copied().unwrap_or_default();
        let number = |name: &str| number(text(name)).unwrap_or_default();
        let count = |name: &str| u32::try_from(number(name)).unwrap_or_default();
        let flag = |name: &str| text(name) == "1";
        Self {
            v: count("v"),
            epoch: text("epoch").to_owned(),
            fence: number("fence"),
            nonce: text("nonce").to_owned(),
            holder: text("holder").to_owned(),
            worker: text("worker").to_owned(),
            configuration: text("configuration").to_owned(),
            claimed_at_ms: number("claimed_at_ms"),
            lease_ms: number("lease_ms"),
            intent: flag("intent"),
            reason: Reason::from_name(text("reason")),
            drained: flag("drained"),
            doubt: text("doubt").parse().unwrap_or_default(),
            drains_at_ms: number("drains_at_ms"),
            drain_ms: number("drain_ms"),
            unknowns: count("unknowns"),
            unknowns_before: count("unknowns_before"),
            unsure_from_ms: number("unsure_from_ms"),
            spaced_from_ms: number("spaced_from_ms"),
            token: Token::new(text("token").to_owned()).ok(),
            fingerprint: Fingerprint::from_hex(text("fingerprint")),
            previous: Fingerprint::from_hex(text("previous")),
            token_fence: number("token_fence"),
            generation: number("generation"),
            issued_at_ms: number("issued_at_ms"),
            expires_at_ms: number("expires_at_ms"),
            refresh_at_ms: number("refresh_at_ms"),
            assumed: flag("assumed"),
            layout: text("layout").to_owned(),
            rejected: Mark::from_str(text("rejected")),
            rejected_from_ms: number("rejected_from_ms"),
            lost: flag("lost"),
            reported: Fingerprint::from_hex(text("reported")),
            reported_at_ms: number("reported_at_ms"),
            report_day: number("report_day"),
            report_count: count("report_count"),
            alive_at_ms: number("alive_at_ms"),
            probing_until_ms: number("probing_until_ms"),
            marked_at_ms: number("marked_at_ms"),
            strain: count("strain"),
            invalidating: number("invalidating"),
            invalidated_at_ms: number("invalidated_at_ms"),
            invalidate_day: number("invalidate_day"),
            invalidate_count: count("invalidate_count"),
            status: text("status").parse().unwrap_or_default(),
            error_code: text("error_code").parse().ok().filter(|code| *code != 0),
            error_message: text("error_message").to_owned(),
            retry_at_ms: number("retry_at_ms"),
            failures: count("failures"),
            refusals: refusals(text("refusals")),
        }
    }

    /// The same state without the token: what may be kept in memory, logged, shown and sent in events.
    #[must_use]
    pub fn without_token(mut self) -> Self {
        self.token = None;
        self
    }
}

/// A number of the hash: digits alone, and not too many of them.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= NUMBER_MAX)
}

/// One that cannot be read, of a newer version perhaps, hides no other.
fn refusals(text: &str) -> Vec<Refusal> {
    let list: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    let read = list.into_iter().filter_map(|refusal| serde_json::from_value(refusal).ok());
    read.filter(Refusal::is_readable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Scope;

    #[test]
    fn a_state_is_written_and_read_without_loss() {
        let token = Token::new("T1".to_owned()).unwrap();
        let state = State {
            v: 1,
            epoch: "run:repl".to_owned(),
            fence: 1_795_380_778_916_543,
            nonce: "abc".to_owned(),
            holder: "w#1".to_owned(),
            worker: "w".to_owned(),
            intent: true,
            reason: Some(Reason::Epoch),
            doubt: [Doubt::Late, Doubt::Takeover].into_iter().collect(),
            fingerprint: Some(token.fingerprint()),
            token: Some(token),
            layout: "wechatpy".to_owned(),
            rejected: Some(Mark::Adopted),
            status: Status::IpNotAllowed,
            error_code: Some(40164),
            refusals: vec![Refusal {
                scope: Scope::Worker,
                key: "w#1".to_owned(),
                status: Status::IpNotAllowed,
                code: Some(40164),
                message: "invalid ip \"1.2.3.4\"".to_owned(),
                at_ms: 5,
                retry_at_ms: 6,
                count: 1,
                by: "w#1".to_owned(),
            }],
            ..State::default()
        };
        let fields = state.to_fields();
        let read = State::from_fields(fields.iter().map(|(k, v)| (*k, v.as_str())));
        assert_eq!(read, state);
    }

    #[test]
    fn what_cannot_be_read_is_absent() {
        let fence = |text: &str| State::from_fields([("fence", text)]).fence;
        assert_eq!((fence("7"), fence("007"), fence("4503599627370496")), (7, 7, NUMBER_MAX));
        for odd in
            ["+7", "-7", " 7", "7.0", "7e0", "0x7", "", "4503599627370497", "99999999999999999999"]
        {
            assert_eq!(fence(odd), 0, "{odd:?}");
        }
        let unknowns = |text: &str| State::from_fields([("unknowns", text)]).unknowns;
        assert_eq!((unknowns("4294967295"), unknowns("4294967296")), (u32::MAX, 0));
        assert!(!State::from_fields([("intent", "yes")]).intent);
        assert!(State::from_fields([("doubt", ",")]).doubt.is_empty());
        let zero = [("doubt", "0"), ("epoch", "0"), ("error_code", "00")];
        assert_eq!(State::from_fields(zero), State::default());
        let far = r#"[{"scope":"account","key":"","status":"retrying","message":"","at_ms":1,"retry_at_ms":100000000000000,"count":1}]"#;
        assert!(State::from_fields([("refusals", far)]).refusals.is_empty());
    }

    #[test]
    fn a_token_without_its_copy_is_none() {
        let state = State { v: 1, fingerprint: Some(Fingerprint::of("T")), ..State::default() };
        let fields = state.to_fields();
        let pairs = || fields.iter().map(|(name, text)| (*name, text.as_str()));
        assert_eq!(State::from_fields(pairs()).fingerprint, None);
        assert_eq!(State::from_view(pairs()), state);
    }

    #[test]
    fn no_hash_is_no_state() {
        let none = State::from_fields([]);
        assert!(!none.exists());
        assert_eq!(none, State::default());
        assert!(none.to_fields().is_empty());
    }

    #[test]
    fn a_lease_that_ends_further_ahead_than_its_length_is_over() {
        let state =
            State { intent: true, claimed_at_ms: 10_000, lease_ms: 8_000, ..State::default() };
        assert!(state.claim_is_current(10_000) && state.claim_is_current(17_999));
        assert!(state.holder_is_dead(18_000));
        assert!(state.holder_is_dead(10_000 - CLOCK_SLACK_MS - 1));
    }
}

//! What people do to keys by hand, and what bad writes leave behind.

use proptest::prelude::*;
use zhongkong_core::state::State;

/// A field of the state hash as somebody left it; `None` if it was deleted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spoilt {
    pub(crate) field: &'static str,
    pub(crate) value: Option<&'static str>,
}

/// What somebody does to the key that readers read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// Another text, to live forever.
    Text,
    /// Another text, for as long as the one before.
    Instead,
    /// A key of another type.
    List,
    /// The same text, to live forever.
    Forever,
    /// The same text, for a moment longer or shorter than its life.
    For { shift_ms: i64 },
}

/// Every field of the hash; a test compares it with the state.
pub(crate) const FIELDS: [&str; 48] = [
    "v",
    "epoch",
    "fence",
    "nonce",
    "holder",
    "worker",
    "configuration",
    "claimed_at_ms",
    "lease_ms",
    "intent",
    "reason",
    "drained",
    "doubt",
    "drains_at_ms",
    "drain_ms",
    "unknowns",
    "unknowns_before",
    "unsure_from_ms",
    "spaced_from_ms",
    "token",
    "fingerprint",
    "token_fence",
    "generation",
    "issued_at_ms",
    "expires_at_ms",
    "refresh_at_ms",
    "assumed",
    "layout",
    "rejected",
    "rejected_from_ms",
    "lost",
    "reported",
    "reported_at_ms",
    "report_day",
    "report_count",
    "alive_at_ms",
    "probing_until_ms",
    "marked_at_ms",
    "strain",
    "invalidating",
    "invalidated_at_ms",
    "invalidate_day",
    "invalidate_count",
    "status",
    "error_code",
    "error_message",
    "retry_at_ms",
    "failures",
];

/// What may stand in any field. The highest fence leaves room for the claims that follow: one that cannot be read any
/// more is none, and the next claim begins anew.
const VALUES: [&str; 24] = [
    "",
    "0",
    "1",
    "7",
    "007",
    "-1",
    "+7",
    " 7",
    "1.5",
    "1e3",
    "0x10",
    "nan",
    "inf",
    "abc",
    "true",
    ",",
    "solar_flare",
    "坏了",
    "1795380778000",
    "4294967295",
    "4294967296",
    "4503599627370000",
    "9007199254740993",
    "18446744073709551615",
];

/// What may stand in the list of refusals.
const REFUSALS: [&str; 9] = [
    "",
    "{}",
    "[]",
    "[1]",
    "not JSON",
    "[[[[",
    r#"[{"scope":"worker","key":"w1#1"}]"#,
    r#"[{"scope":"region","key":"","status":"retrying","message":"","at_ms":1,"retry_at_ms":1795999999999,"count":1}]"#,
    r#"[{"scope":"account","key":"","status":"retrying","code":null,"message":"x","at_ms":1,"retry_at_ms":1795380779000,"count":4294967295}]"#,
];

pub(crate) fn foreign() -> impl Strategy<Value = Foreign> {
    prop_oneof![
        1 => Just(Foreign::Text),
        2 => Just(Foreign::Instead),
        1 => Just(Foreign::List),
        1 => Just(Foreign::Forever),
        2 => prop_oneof![Just(-1_001_i64), Just(-1_000), Just(1_000), Just(1_001)]
            .prop_map(|shift_ms| Foreign::For { shift_ms }),
    ]
}

pub(crate) fn field() -> impl Strategy<Value = Spoilt> {
    let value = |values: &'static [&'static str]| prop_oneof![2 => Just(None), 3 => prop::sample::select(values).prop_map(Some)];
    let any = (prop::sample::select(&FIELDS[..]), value(&VALUES));
    prop_oneof![
        8 => any.prop_map(|(field, value)| Spoilt { field, value }),
        1 => value(&REFUSALS).prop_map(|value| Spoilt { field: "refusals", value }),
    ]
}

impl Spoilt {
    /// What `state` can be read as afterwards.
    pub(crate) fn applied_to(&self, state: &State) -> State {
        let mut fields = state.to_fields();
        match self.value {
            Some(value) => fields.insert(self.field, value.to_owned()),
            None => fields.remove(self.field),
        };
        State::from_fields(fields.iter().map(|(name, value)| (*name, value.as_str())))
    }
}

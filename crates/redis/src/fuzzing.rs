//! What the fuzzer may call (feature `fuzzing`).

use redis::Value;
use zhongkong_core::credential::Unit;
use zhongkong_core::ports::{LeftReport, Observed};

use crate::inbox::left_report;
use crate::keys::Keys;
use crate::reply::View;

/// Reads an entry of the stream of reports as Redis sends it.
pub fn entry_of_wire(bytes: &[u8]) -> Option<LeftReport> {
    left_report(redis::parse_redis_value(bytes).ok()?, |_| 0)
}

/// Reads an entry with these names and values.
pub fn entry_of_pairs<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Option<LeftReport> {
    let text = |text: &[u8]| Value::BulkString(text.to_vec());
    let entry = vec![text(b"1-0"), Value::Array(texts.map(text).collect())];
    left_report(Value::Array(entry), |_| 0)
}

/// Reads what was said on the channel of events.
pub fn event(payload: &[u8]) -> Option<(Unit, String, Observed)> {
    let view = View::parse(payload).ok()?;
    let (unit, observed) = (view.unit()?, view.observed());
    Some((unit, view.what, observed))
}

/// The unit to which a key belongs that was touched, and the names of its keys.
pub fn touched(name: &str) -> Option<(Unit, [String; 3])> {
    let keys = Keys::new("zhongkong");
    let (unit, _) = keys.unit_of(name)?;
    let names = [keys.reader(&unit), keys.state(&unit), keys.lock(&unit)];
    Some((unit, names))
}

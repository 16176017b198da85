//! Which slot a key has, and which primary has which slots.

use std::ops::RangeInclusive;

use redis::Value;

/// Slots of a cluster.
pub(crate) const SLOTS: u16 = 16_384;

/// Where a server of a cluster is: `host:port`, an IPv6 address without brackets.
pub(crate) type Address = String;

/// Slots that one primary has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) slots: RangeInclusive<u16>,
    pub(crate) primary: Address,
}

/// The hash tag of `key`: what stands in its first braces, if that is anything.
pub(crate) fn tag_of(key: &str) -> Option<&str> {
    let tag = key.split_once('{').and_then(|(_, rest)| Some(rest.split_once('}')?.0));
    tag.filter(|tag| !tag.is_empty())
}

/// The slot of `key`: of its hash tag, if it has one.
pub(crate) fn slot_of(key: &str) -> u16 {
    let hashed = tag_of(key).unwrap_or(key);
    crc16::State::<crc16::XMODEM>::calculate(hashed.as_bytes()) % SLOTS
}

/// What `CLUSTER SLOTS` answers, asked at `asked`; none if it is something else.
pub(crate) fn ranges(answer: Value, asked: &str) -> Option<Vec<Range>> {
    let entries: Vec<Vec<Value>> = redis::from_redis_value(answer).ok()?;
    entries.into_iter().map(|entry| range(entry, asked)).collect()
}

fn range(entry: Vec<Value>, asked: &str) -> Option<Range> {
    let mut values = entry.into_iter();
    let (first, last, primary) = (values.next()?, values.next()?, values.next()?);
    let (first, last): (u16, u16) =
        (redis::from_redis_value(first).ok()?, redis::from_redis_value(last).ok()?);
    let primary: Vec<Value> = redis::from_redis_value(primary).ok()?;
    let mut primary = primary.into_iter();
    // A server that does not know by which name it is reached says nothing: by the one that it was asked at.
    let host: Option<String> = redis::from_redis_value(primary.next()?).ok()?;
    let port: u16 = redis::from_redis_value(primary.next()?).ok()?;
    let primary = address(&format!("{}:{port}", host.unwrap_or_default()), asked)?;
    (first <= last && last < SLOTS).then_some(Range { slots: first..=last, primary })
}

/// An address in a redirection that `asked` answered: `host:port`, or `:port` on the same host.
pub(crate) fn address(text: &str, asked: &str) -> Option<Address> {
    let (host, port) = parts(text)?;
    let host = if host.is_empty() { parts(asked)?.0 } else { host };
    Some(format!("{host}:{port}"))
}

/// Host and port of an address.
pub(crate) fn parts(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

/// Slots in words: `0-99, 200`.
pub(crate) fn in_words(slots: impl Iterator<Item = u16>) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for slot in slots {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == slot => *last = slot,
            _ => ranges.push((slot, slot)),
        }
    }
    let range = |(first, last): (u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.into_iter().map(range).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "here:7000";

    #[test]
    fn a_keys_slot_is_that_of_its_hash_tag() {
        // As redis-server's CLUSTER KEYSLOT answers.
        assert_eq!(slot_of("123456789"), 12_739);
        assert_eq!(slot_of("zhongkong:{a}:access_token"), 15_495);
        assert_eq!(slot_of("zhongkong:{a}:access_token:state"), 15_495);
        assert_eq!(slot_of("a"), 15_495);
        assert_eq!(slot_of("{}a"), slot_of("{}a"));
        assert_ne!(slot_of("{}a"), slot_of("{}b"), "empty braces are no tag");
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_server_without_a_name_is_reached_where_it_was_asked() {
        let entry = |host: Value| {
            let primary = Value::Array(vec![host, Value::Int(7_001), text("id")]);
            let replica = Value::Array(vec![text("other"), Value::Int(7_002), text("id")]);
            let entry = vec![Value::Int(0), Value::Int(99), primary, replica];
            ranges(Value::Array(vec![Value::Array(entry)]), HERE)
        };
        let of = |primary: &str| Some(vec![Range { slots: 0..=99, primary: primary.to_owned() }]);
        assert_eq!(entry(text("there")), of("there:7001"));
        assert_eq!(entry(text("")), of("here:7001"));
        assert_eq!(entry(Value::Nil), of("here:7001"));
        assert_eq!(ranges(Value::Okay, HERE), None);
    }

    #[test]
    fn a_redirection_may_name_the_port_alone_and_a_host_of_colons() {
        let at = |text: &str| address(text, HERE);
        assert_eq!(at("10.0.0.1:7001").as_deref(), Some("10.0.0.1:7001"));
        assert_eq!(at(":7001").as_deref(), Some("here:7001"));
        assert_eq!(at("::1:7001").as_deref(), Some("::1:7001"));
        assert_eq!(parts("::1:7001"), Some(("::1", 7_001)));
        assert_eq!(at("nonsense"), None);
    }

    #[test]
    fn slots_are_told_as_ranges() {
        assert_eq!(in_words([0, 1, 2, 9, 11, 12].into_iter()), "0-2, 9, 11-12");
        assert_eq!(in_words(std::iter::empty()), "");
    }
}

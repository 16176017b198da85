//! A string as Redisson's `Kryo5Codec` writes it: seen with Redisson 3.19.0 to 4.7.0.
//!
//! `03` (class String), the length plus one as a variable-length number whose first byte has a flag besides, then ASCII.
//! Kryo itself writes up to 32 characters without a length, the last with its top bit set; it reads either form.

/// The class String, as Kryo numbers it without references.
const STRING: u8 = 0x03;

pub(super) fn encode(text: &str) -> Vec<u8> {
    let mut rest = text.len() + 1;
    let byte = |bits: usize| u8::try_from(bits).unwrap_or_default();
    let mut bytes = vec![STRING, 0x80 | byte(rest & 0x3f)];
    rest >>= 6;
    if rest > 0 {
        bytes[1] |= 0x40;
    }
    while rest > 0 {
        let more = if rest > 0x7f { 0x80 } else { 0 };
        bytes.push(byte(rest & 0x7f) | more);
        rest >>= 7;
    }
    bytes.extend(text.as_bytes());
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Option<String> {
    let (&STRING, bytes) = bytes.split_first()? else { return None };
    let (&first, mut rest) = bytes.split_first()?;
    if first & 0x80 == 0 {
        let (last, start) = bytes.split_last()?;
        let text = [start, &[last & 0x7f]].concat();
        return (last & 0x80 != 0 && start.is_ascii()).then(|| String::from_utf8(text).ok())?;
    }
    let (mut length, mut shift) = (usize::from(first & 0x3f), 6);
    let mut more = first & 0x40 != 0;
    while more {
        let (&next, after) = rest.split_first()?;
        length |= usize::from(next & 0x7f).checked_shl(shift)?;
        (more, rest, shift) = (next & 0x80 != 0, after, shift + 7);
        if shift > 27 {
            return None;
        }
    }
    (rest.len() + 1 == length).then(|| String::from_utf8(rest.to_vec()).ok())?
}

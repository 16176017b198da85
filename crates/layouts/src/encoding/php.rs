//! What PHP serializes, and strings as its extension igbinary does.

use super::LIFE_S;

/// igbinary's header, version 2.
const IGBINARY: [u8; 4] = [0, 0, 0, 2];
/// Its strings with lengths of one byte and of two.
const STRING_8: u8 = 0x11;
const STRING_16: u8 = 0x12;

pub(super) fn string(text: &str) -> String {
    format!("s:{}:\"{text}\";", text.len())
}

/// The upstream's answer as an array, the token under `name`.
pub(super) fn answer(name: &str, text: &str) -> String {
    format!("a:2:{{{}{}{}i:{LIFE_S};}}", string(name), string(text), string("expires_in"))
}

pub(super) fn read_string(bytes: &[u8]) -> Option<&[u8]> {
    if let Some(bytes) = bytes.strip_prefix(&IGBINARY) {
        let (length, text) = match bytes {
            [STRING_8, length, text @ ..] => (usize::from(*length), text),
            [STRING_16, high, low, text @ ..] => {
                (usize::from(u16::from_be_bytes([*high, *low])), text)
            }
            _ => return None,
        };
        return (text.len() == length).then_some(text);
    }
    let (text, rest) = take_string(bytes)?;
    rest.is_empty().then_some(text)
}

/// The string under `name` in an array of any order.
pub(super) fn read_answer<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    if !bytes.starts_with(b"a:") {
        return None;
    }
    let key = string(name).into_bytes();
    let at = bytes.windows(key.len()).position(|window| window == key)?;
    take_string(&bytes[at + key.len()..]).map(|(text, _)| text)
}

/// The string that `bytes` begin with, and what follows it.
fn take_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let bytes = bytes.strip_prefix(b"s:")?;
    let digits = bytes.iter().position(|byte| *byte == b':')?;
    let length: usize = str::from_utf8(&bytes[..digits]).ok()?.parse().ok()?;
    let (text, rest) = bytes[digits + 1..].strip_prefix(b"\"")?.split_at_checked(length)?;
    Some((text, rest.strip_prefix(b"\";")?))
}

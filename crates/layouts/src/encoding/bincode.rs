//! The enum in which labrador keeps values, as bincode writes it: derived from the order of its variants in 0.2.3.

const STRING: [u8; 4] = 4_u32.to_le_bytes();
const NUMBER: [u8; 8] = [3, 0, 0, 0, 1, 0, 0, 0];

pub(super) fn string(text: &str) -> Vec<u8> {
    let length = u64::try_from(text.len()).unwrap_or_default().to_le_bytes();
    [&STRING, &length[..], text.as_bytes()].concat()
}

pub(super) fn number(number: u64) -> Vec<u8> {
    [NUMBER, number.to_le_bytes()].concat()
}

pub(super) fn read_string(bytes: &[u8]) -> Option<&[u8]> {
    let (length, text) = bytes.strip_prefix(&STRING)?.split_first_chunk::<8>()?;
    (u64::from_le_bytes(*length) == u64::try_from(text.len()).ok()?).then_some(text)
}

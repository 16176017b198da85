//! The bytes of a value, and back.
//!
//! - `php`: what PHP serializes; `kryo5`: what Redisson does; `bincode`: what labrador does; `bag`: Senparc's.

mod bag;
mod bincode;
mod kryo5;
mod php;

use zhongkong_core::publication::Value;
use zhongkong_core::token::Token;

pub use bag::Bag;

/// The life that a fresh token has, in seconds: some SDKs want a number there, and none decides by it.
pub(crate) const LIFE_S: u64 = 7_200;
/// How far a service's clock may be ahead of Redis', in seconds, without its SDK taking the token for expired.
pub const SKEW_S: u64 = 300;

/// How a token, or the end of its life, is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The token and nothing else.
    Raw,
    /// A JSON string.
    Json,
    /// A string as PHP serializes it; igbinary's form is understood, too.
    Php,
    /// A string as Kryo 5 writes it, without references.
    Kryo5,
    /// A string of labrador's enum, as bincode writes it.
    Bincode,
    /// The upstream's answer as a PHP array, the token under this name.
    PhpAnswer(&'static str),
    /// The upstream's answer as JSON, the token under this name.
    JsonAnswer(&'static str),
    /// JSON with the token and the end of its life under these names.
    JsonUntil(&'static str, &'static str, Until),
    /// A hash with the token and the end of its life, in milliseconds, in these fields.
    Fields(&'static str, &'static str),
    /// A bag of Senparc.
    Bag(Bag),
    /// The end of the token's life alone, in seconds, as a JSON number, for an SDK with this margin, in seconds.
    JsonEnd(u64),
    /// The same as labrador writes it.
    BincodeEnd,
}

/// The unit of an instant since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
}

impl Encoding {
    /// Whether the value holds no token, but tells the end of its life.
    pub const fn is_companion(self) -> bool {
        matches!(self, Self::JsonEnd(_) | Self::BincodeEnd)
    }

    /// The value for `token`, which ends at `expires_at_ms`, for the account `app_id`.
    ///
    /// The key's own life ends with the token's. An end that the SDK reads is later, by its margin and by what a clock may
    /// be ahead, so that it never thinks of fetching while the key is there.
    pub fn encode(self, token: &Token, expires_at_ms: u64, app_id: &str) -> Value {
        let text = token.expose();
        let end_s = |margin_s: u64| expires_at_ms / 1_000 + margin_s + SKEW_S;
        let bytes = match self {
            Self::Raw => text.as_bytes().to_vec(),
            Self::Json => json(text).into_bytes(),
            Self::Php => php::string(text).into_bytes(),
            Self::Kryo5 => kryo5::encode(text),
            Self::Bincode => bincode::string(text),
            Self::PhpAnswer(name) => php::answer(name, text).into_bytes(),
            Self::JsonAnswer(name) => {
                format!("{{\"{name}\":{},\"expires_in\":{LIFE_S}}}", json(text)).into_bytes()
            }
            Self::JsonUntil(name, until, unit) => {
                let end = match unit {
                    Until::Seconds => end_s(0),
                    Until::Millis => end_s(0) * 1_000,
                };
                format!("{{\"{name}\":{},\"{until}\":{end}}}", json(text)).into_bytes()
            }
            Self::Fields(name, until) => {
                let until_ms = (end_s(0) * 1_000).to_string().into_bytes();
                let token = text.as_bytes().to_vec();
                return Value::Fields(vec![(name.to_owned(), token), (until.to_owned(), until_ms)]);
            }
            Self::Bag(bag) => bag.encode(&json(text), app_id, end_s(0)).into_bytes(),
            Self::JsonEnd(margin_s) => end_s(margin_s).to_string().into_bytes(),
            Self::BincodeEnd => bincode::number(end_s(0)),
        };
        Value::Text(bytes)
    }

    /// The token that `value` holds, whoever wrote it; none if it holds none that could be one.
    pub fn decode(self, value: &Value) -> Option<Token> {
        let bytes = match (self, value) {
            (Self::Fields(name, _), Value::Fields(fields)) => {
                let (_, bytes) = fields.iter().find(|(field, _)| field == name)?;
                return token(bytes);
            }
            (Self::Fields(..), _) | (_, Value::Fields(_)) => return None,
            (_, Value::Text(bytes)) => bytes,
        };
        match self {
            Self::Raw => token(bytes),
            Self::Json => Token::new(serde_json::from_slice(bytes).ok()?).ok(),
            Self::Php => token(php::read_string(bytes)?),
            Self::Kryo5 => Token::new(kryo5::decode(bytes)?).ok(),
            Self::Bincode => token(bincode::read_string(bytes)?),
            Self::PhpAnswer(name) => token(php::read_answer(bytes, name)?),
            Self::JsonAnswer(name) | Self::JsonUntil(name, ..) => named(&parsed(bytes)?, name),
            Self::Bag(bag) => named(parsed(bytes)?.get(bag.result)?, bag.token),
            Self::Fields(..) | Self::JsonEnd(_) | Self::BincodeEnd => None,
        }
    }
}

fn token(bytes: &[u8]) -> Option<Token> {
    Token::new(String::from_utf8(bytes.to_vec()).ok()?).ok()
}

fn parsed(bytes: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(bytes).ok()
}

fn named(object: &serde_json::Value, name: &str) -> Option<Token> {
    Token::new(object.get(name)?.as_str()?.to_owned()).ok()
}

/// `text` as a JSON string.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const END_MS: u64 = 1_795_380_778_123;
    const EVERY: [Encoding; 10] = [
        Encoding::Raw,
        Encoding::Json,
        Encoding::Php,
        Encoding::Kryo5,
        Encoding::Bincode,
        Encoding::PhpAnswer("access_token"),
        Encoding::JsonAnswer("access_token"),
        Encoding::JsonUntil("accessToken", "expireTime", Until::Millis),
        Encoding::Fields("value", "expire"),
        Encoding::Bag(Bag::ACCESS_TOKEN),
    ];

    fn token(text: &str) -> Token {
        Token::new(text.to_owned()).unwrap()
    }

    #[track_caller]
    fn written(encoding: Encoding, text: &str, expected: &[u8]) {
        let value = encoding.encode(&token(text), END_MS, "wxAPPID");
        assert_eq!(value, Value::Text(expected.to_vec()), "{}", String::from_utf8_lossy(expected));
    }

    #[test]
    fn the_bytes_are_those_that_the_clients_write_and_read() {
        let id_136 = "a".repeat(136);
        let id_512 = "b".repeat(512);
        written(Encoding::Raw, "TOK", b"TOK");
        written(Encoding::Json, "TOK_self", b"\"TOK_self\"");
        written(Encoding::Json, "T\"\\", br#""T\"\\""#);
        written(Encoding::Php, "TOK", b"s:3:\"TOK\";");
        written(Encoding::Kryo5, &id_136, &[&[0x03, 0xc9, 0x02], id_136.as_bytes()].concat());
        written(Encoding::Kryo5, &id_512, &[&[0x03, 0xc1, 0x08], id_512.as_bytes()].concat());
        written(Encoding::Bincode, "TOK", b"\x04\0\0\0\x03\0\0\0\0\0\0\0TOK");
        written(
            Encoding::PhpAnswer("access_token"),
            "TOK",
            b"a:2:{s:12:\"access_token\";s:3:\"TOK\";s:10:\"expires_in\";i:7200;}",
        );
        written(
            Encoding::JsonAnswer("access_token"),
            "TOK",
            br#"{"access_token":"TOK","expires_in":7200}"#,
        );
        written(
            Encoding::JsonUntil("accessToken", "expireTime", Until::Millis),
            "TOK",
            br#"{"accessToken":"TOK","expireTime":1795381078000}"#,
        );
        written(
            Encoding::JsonUntil("access_token", "expires_in", Until::Seconds),
            "TOK",
            br#"{"access_token":"TOK","expires_in":1795381078}"#,
        );
    }

    #[test]
    fn an_end_that_the_sdk_reads_is_later_than_the_keys_by_its_margin_and_the_skew() {
        written(Encoding::JsonEnd(60), "TOK", b"1795381138");
        let number = 1_795_381_078_i64.to_le_bytes();
        written(Encoding::BincodeEnd, "TOK", &[&[3, 0, 0, 0, 1, 0, 0, 0], &number[..]].concat());
        let value = Encoding::Fields("value", "expire").encode(&token("TOK"), END_MS, "wxAPPID");
        let fields = [("value", &b"TOK"[..]), ("expire", b"1795381078000")];
        let fields = fields.map(|(name, text)| (name.to_owned(), text.to_vec())).to_vec();
        assert_eq!(value, Value::Fields(fields));
    }

    #[test]
    fn what_others_write_is_understood_as_far_as_it_holds_a_token() {
        let read = |encoding: Encoding, bytes: &[u8]| {
            encoding.decode(&Value::Text(bytes.to_vec())).map(|token| token.expose().to_owned())
        };
        let some = |text: &str| Some(text.to_owned());
        // Kryo's short form: up to 32 characters, the last with its top bit set.
        assert_eq!(read(Encoding::Kryo5, b"\x03TO\xcb"), some("TOK"));
        assert_eq!(read(Encoding::Php, b"\0\0\0\x02\x11\x03TOK"), some("TOK"));
        let long = "x".repeat(512);
        let igbinary = [b"\0\0\0\x02\x12\x02\0", long.as_bytes()].concat();
        assert_eq!(read(Encoding::Php, &igbinary), Some(long));
        let answer = Encoding::PhpAnswer("access_token");
        let other_way = b"a:2:{s:10:\"expires_in\";i:7200;s:12:\"access_token\";s:3:\"TOK\";}";
        assert_eq!(read(answer, other_way), some("TOK"));
        let extra = br#"{"a":1,"access_token":"TOK"}"#;
        assert_eq!(read(Encoding::JsonAnswer("access_token"), extra), some("TOK"));
        for encoding in EVERY {
            for junk in [&b""[..], b"\x03", b"\x04", b"\xff\xfe", b"a b", b"s:9:\"T\0\";"] {
                assert_eq!(read(encoding, junk), None, "{encoding:?} {junk:?}");
            }
        }
    }

    #[test]
    fn debug_output_has_no_token() {
        for encoding in EVERY {
            let value = encoding.encode(&token("s3cret"), END_MS, "wxAPPID");
            assert!(!format!("{value:?}").contains("s3cret"));
        }
    }

    proptest! {
        #[test]
        fn a_token_comes_back_from_every_encoding(text in "[!-~]{1,4096}") {
            let token = token(&text);
            for encoding in EVERY {
                let value = encoding.encode(&token, END_MS, "wxAPPID");
                prop_assert_eq!(encoding.decode(&value), Some(token.clone()), "{:?}", encoding);
            }
        }

        #[test]
        fn no_bytes_stop_a_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for encoding in EVERY {
                drop(encoding.decode(&Value::Text(bytes.clone())));
            }
        }
    }
}

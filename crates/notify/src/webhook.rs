//! A webhook, as the Standard Webhooks specification says (standardwebhooks.com), for which there are libraries in most
//! languages: `webhook-id`, `webhook-timestamp` (seconds since 1970) and `webhook-signature`, `v1,` and the base64 of the
//! HMAC-SHA256 of `id.timestamp.body`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::Sha256;
use url::Url;

use crate::message::Message;
use crate::receiver::{Receiver, Request};

/// Begins a secret of which the rest is the key's base64.
const ENCODED: &str = "whsec_";

/// The request with `message`, signed at `now_ms`.
pub(crate) fn request(url: Url, receiver: &Receiver, message: &Message, now_ms: u64) -> Request {
    let mut json = json!(message.data);
    if let Some(json) = json.as_object_mut() {
        json.insert("id".to_owned(), message.id.clone().into());
        json.insert("title".to_owned(), message.title.clone().into());
        json.insert("text".to_owned(), message.text(receiver.language).into());
    }
    let body = json.to_string().into_bytes();
    let timestamp = (now_ms / 1_000).to_string();
    let mut headers =
        vec![("webhook-id", message.id.clone()), ("webhook-timestamp", timestamp.clone())];
    if let Some(secret) = &receiver.secret {
        let signed = [message.id.as_bytes(), timestamp.as_bytes(), &body].join(&b'.');
        headers.push((
            "webhook-signature",
            format!("v1,{}", STANDARD.encode(hmac_sha256(&key(secret), &signed))),
        ));
    }
    Request { url, headers, body }
}

/// The key: what `whsec_` encodes, or else the secret as it stands.
fn key(secret: &SecretString) -> Vec<u8> {
    let secret = secret.expose_secret();
    let encoded = secret.strip_prefix(ENCODED).and_then(|encoded| STANDARD.decode(encoded).ok());
    encoded.unwrap_or_else(|| secret.as_bytes().to_vec())
}

/// HMAC-SHA256 of `text` under `key`.
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
pub(crate) fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut hash = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    hash.update(text);
    hash.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of the specification's own libraries.
        let secret: SecretString = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into();
        let signed = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
        let signature = STANDARD.encode(hmac_sha256(&key(&secret), signed.as_bytes()));
        assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_encodes_nothing_is_the_key_itself() {
        assert_eq!(key(&"s3cret".into()), b"s3cret");
        assert_eq!(key(&"whsec_no base64".into()), b"whsec_no base64");
        assert_eq!(key(&"whsec_czNjcmV0".into()), b"s3cret");
    }
}

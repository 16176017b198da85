//! Text from elsewhere, made fit to be shown: short, without control characters, without secrets.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::wechat::encoded;

/// The longest text that is passed on; WeChat's own messages have about 150 characters.
const TEXT_MAX: usize = 256;

/// What stands where something was taken out.
const REMOVED: &str = "[removed]";

/// What gives away a piece of a request that was echoed back.
const OF_A_REQUEST: [&str; 4] = ["secret=", "grant_type=", "access_token=", "appid="];

/// Takes one secret out of texts, in every form in which it was sent.
pub(crate) struct Scrub {
    forms: Vec<SecretString>,
}

impl Scrub {
    pub(crate) fn new(secret: &SecretString) -> Self {
        let plain = secret.expose_secret();
        let json = serde_json::Value::from(plain).to_string();
        let mut forms = vec![plain.to_owned(), encoded(plain), json[1..json.len() - 1].to_owned()];
        // The longest first: the plain form may be a part of another.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        forms.retain(|form| !form.is_empty());
        Self { forms: forms.into_iter().map(SecretString::from).collect() }
    }

    /// `text`, fit to be shown.
    pub(crate) fn text(&self, text: &str) -> String {
        // Spaces first and the rest of the control characters away, so that none of them can split the secret.
        let text = text.replace(['\t', '\n', '\r'], " ");
        let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
        for form in &self.forms {
            text = text.replace(form.expose_secret(), REMOVED);
        }
        let words: Vec<&str> = text.split(' ').map(without_request).collect();
        let text = words.join(" ");
        match text.char_indices().nth(TEXT_MAX) {
            Some(_) => text.chars().take(TEXT_MAX - 1).chain(['…']).collect(),
            None => text,
        }
    }
}

impl fmt::Debug for Scrub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrub").finish_non_exhaustive()
    }
}

fn without_request(word: &str) -> &str {
    let lower = word.to_ascii_lowercase();
    if OF_A_REQUEST.iter().any(|part| lower.contains(part)) { REMOVED } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(secret: &str, text: &str, expected: &str) {
        assert_eq!(Scrub::new(&secret.into()).text(text), expected);
    }

    #[test]
    fn the_secret_is_taken_out_in_every_form_in_which_it_was_sent() {
        check("a\"b&c", "<a\"b&c> <a%22b%26c> <a\\\"b&c>", "<[removed]> <[removed]> <[removed]>");
        check("a\"", "<a\\\">", "<[removed]>");
        check("abc", "a\u{0}bc a\u{7}b\u{1b}c", "[removed] [removed]");
    }

    #[test]
    fn an_echoed_query_is_taken_out_whole() {
        let line = "GET /cgi-bin/token?grant_type=client_credential&appid=wx1&Secret=xyz HTTP/1.1";
        check("abc", line, "GET [removed] HTTP/1.1");
    }

    #[test]
    fn what_remains_is_short_and_in_one_line() {
        check("abc", "one\ntwo", "one two");
        let long = Scrub::new(&"abc".into()).text(&"中".repeat(300));
        assert_eq!((long.chars().count(), long.ends_with("中…")), (256, true));
        check("abc", &"x".repeat(256), &"x".repeat(256));
    }

    #[test]
    fn wechats_own_words_pass_unchanged() {
        let message = "invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist rid: 65112232-35da441e-28f02baf";
        check("abc", message, message);
    }
}

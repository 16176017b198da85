//! The section `[http]`: where the interface listens, whether it is encrypted, and who may use it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use secrecy::{ExposeSecret, SecretString};

use super::certificate::{self, HttpTls};
use super::keys::HTTP_TOKEN;
use super::secret::secret;
use super::section::Section;

/// The most bearer tokens.
const TOKENS_MAX: usize = 1_000;
/// The least length of a bearer token that is not thought to be guessable.
pub(super) const LENGTH_MIN: usize = 16;

/// The HTTP interface.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where it listens: on loopback, unless there are tokens.
    pub listen: SocketAddr,
    /// How connections are encrypted, if they are.
    pub tls: Option<HttpTls>,
    /// The bearer tokens; none = every scope is open, on loopback.
    pub tokens: Vec<HttpToken>,
}

/// A bearer token.
#[derive(Clone, Debug)]
pub struct HttpToken {
    /// Who uses it, for people.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// The token itself: visible ASCII.
    pub secret: SecretString,
}

/// What a bearer token allows; each scope includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The status of credentials.
    Read,
    /// Their tokens, and reports.
    Token,
    /// Refreshes at will.
    Admin,
}

impl HttpToken {
    /// Whether it is so short that somebody could try all of them.
    pub fn is_guessable(&self) -> bool {
        self.secret.expose_secret().len() < LENGTH_MIN
    }
}

impl Scope {
    /// The name in the configuration and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Token => "token",
            Self::Admin => "admin",
        }
    }
}

pub(super) fn read(section: &Section<'_>) -> HttpConfig {
    let listen = listen(section);
    let tls = certificate::read(section);
    let entries = section.sections(&HTTP_TOKEN, TOKENS_MAX);
    if entries.is_empty() && !listen.ip().to_canonical().is_loopback() {
        let what = "any other address than loopback needs [[http.tokens]]: without them, everybody could read tokens";
        section.problem("listen", what);
    }
    let tokens: Vec<HttpToken> = entries.iter().filter_map(token).collect();
    if section.findings.is_clean() {
        refuse_duplicates(&entries, &tokens);
    }
    HttpConfig { listen, tls, tokens }
}

/// Where it listens, by default if that cannot be read.
pub(super) fn listen(section: &Section<'_>) -> SocketAddr {
    let listen = section.read("listen", |raw| {
        let address = raw.text()?.parse();
        address.map_err(|_| "must be an address and a port, such as \"127.0.0.1:8620\"".to_owned())
    });
    listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8620)))
}

fn token(entry: &Section<'_>) -> Option<HttpToken> {
    let scopes = [Scope::Read, Scope::Token, Scope::Admin].map(|scope| (scope.as_str(), scope));
    let name = entry.read("name", |raw| match raw.text()? {
        "" => Err("must not be empty".to_owned()),
        name => Ok(name.to_owned()),
    });
    let name = entry.required("name", name);
    let scope = entry.required("scope", entry.read("scope", |raw| raw.choice(&scopes)));
    let (_, secret) = entry.required("secret", secret(entry, "secret"))?;
    let text = secret.expose_secret();
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        entry.problem("secret", "must be visible ASCII without spaces, to fit into a header");
    }
    if text.len() < LENGTH_MIN {
        entry.warn(
            "secret",
            &format!("less than {LENGTH_MIN} characters can be guessed; use a longer one"),
        );
    }
    Some(HttpToken { name: name?, scope: scope?, secret })
}

/// A token of two entries would have two scopes, a name of two would not say who it was.
fn refuse_duplicates(entries: &[Section<'_>], tokens: &[HttpToken]) {
    let (mut names, mut secrets) = (HashMap::new(), HashMap::new());
    for (entry, token) in entries.iter().zip(tokens) {
        for (key, earlier) in [
            ("name", names.insert(token.name.as_str(), entry)),
            ("secret", secrets.insert(token.secret.expose_secret(), entry)),
        ] {
            if let Some(earlier) = earlier {
                let there = entry.place_of(key).refer_to(&earlier.place_of(key));
                entry.problem(key, &format!("the same as {}, {there}", earlier.key(key)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{ACCOUNT, loaded, refused, warned};

    fn token(name: &str, scope: &str, secret: &str) -> String {
        format!("[[http.tokens]]\nname = {name:?}\nscope = {scope:?}\nsecret = {secret}\n")
    }

    const LONG: &str = "\"s3cret-s3cret-s3cret\"";

    #[test]
    fn tokens_open_other_addresses_than_loopback() {
        let token = token("shop", "token", LONG);
        let toml = format!("http.listen = \"0.0.0.0:80\"\n{token}{ACCOUNT}");
        let http = loaded(&toml).config.http;
        assert_eq!(http.tokens[0].name, "shop");
        assert_eq!(http.tokens[0].scope, Scope::Token);
        assert!(Scope::Read < Scope::Token && Scope::Token < Scope::Admin);
        for loopback in ["127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            loaded(&format!("http.listen = {loopback:?}\n{ACCOUNT}"));
        }
        refused("http = { listen = \"[::]:80\", tokens = [] }", &["needs [[http.tokens]]"]);
        for open in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80"] {
            let parts = ["zhongkong.toml:1: http.listen: ", "needs [[http.tokens]]"];
            refused(&format!("http.listen = {open:?}\n"), &parts);
        }
    }

    #[test]
    fn a_token_that_is_guessable_or_plain_is_warned_of() {
        let short = token("shop", "admin", "{ env = \"WX_SECRET\" }");
        warned(&format!("{short}{ACCOUNT}"), &["toml:4: http.tokens[0].secret: ", "guessed"]);
        let plain = token("shop", "admin", LONG);
        warned(&format!("{plain}{ACCOUNT}"), &["toml:4: http.tokens[0].secret: ", "plain text"]);
    }

    #[test]
    fn what_is_missing_wrong_or_twice_is_refused() {
        for (toml, part) in [
            (
                "http.listen = \"localhost:8620\"".to_owned(),
                "toml:1: http.listen: must be an address",
            ),
            (
                "[[http.tokens]]\nname = \"a\"".to_owned(),
                "toml:1: http.tokens[0].scope: is required",
            ),
            (token("", "read", LONG), "toml:2: http.tokens[0].name: must not be empty"),
            (token("a", "write", LONG), "toml:3: http.tokens[0].scope: unknown value \"write\""),
            (
                token("a", "read", "\"s3cret with spaces\""),
                "toml:4: http.tokens[0].secret: must be",
            ),
            (
                token("a", "read", LONG) + &token("b", "admin", LONG),
                "toml:8: http.tokens[1].secret: the same as http.tokens[0].secret, at line 4",
            ),
        ] {
            refused(&toml, &[part]);
        }
    }
}

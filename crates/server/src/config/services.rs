//! The list `[[http.wechat]]`: services that ask a worker for tokens as they would ask WeChat.

use std::collections::{HashMap, HashSet};

use secrecy::{ExposeSecret, SecretString};
use zhongkong_core::credential::CredentialId;

use super::credentials::CredentialConfig;
use super::http::{HttpToken, LENGTH_MIN};
use super::keys::HTTP_SERVICE;
use super::secret::secret;
use super::section::Section;
use super::value::Raw;

/// The most services.
const SERVICES_MAX: usize = 1_000;

/// A service that asks as it would ask WeChat.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// Who it is, for people.
    pub name: String,
    /// What it has in the place of an AppSecret.
    pub secret: SecretString,
    /// Whose tokens it may have; none: everybody's.
    pub credentials: Option<HashSet<CredentialId>>,
}

impl ServiceConfig {
    /// Whether its secret is so short that somebody could try all of them.
    pub fn is_guessable(&self) -> bool {
        self.secret.expose_secret().len() < LENGTH_MIN
    }
}

/// The services, in the order of the file; `http` is the section that holds them.
pub(super) fn read(
    http: &Section<'_>,
    tokens: &[HttpToken],
    credentials: &[CredentialConfig],
) -> Vec<ServiceConfig> {
    let entries = http.sections(&HTTP_SERVICE, SERVICES_MAX);
    if entries.is_empty() {
        return vec![];
    }
    // What is wrong with a credential leaves it out: that it is missing here, too, would mislead.
    let all_are_there = http.findings.is_clean();
    let known = all_are_there.then(|| credentials.iter().map(|one| &one.id).collect());
    let services: Vec<ServiceConfig> =
        entries.iter().filter_map(|entry| service(entry, known.as_ref())).collect();
    if http.findings.is_clean() {
        refuse_duplicates(&entries, &services, tokens);
    }
    services
}

fn service(entry: &Section<'_>, known: Option<&HashSet<&CredentialId>>) -> Option<ServiceConfig> {
    let name = entry.read("name", |raw| match raw.text()? {
        "" => Err("must not be empty".to_owned()),
        name => Ok(name.to_owned()),
    });
    let name = entry.required("name", name);
    let credentials = entry.read("credentials", |raw| ids(raw, known));
    let (_, secret) = entry.required("secret", secret(entry, "secret"))?;
    if secret.expose_secret().len() < LENGTH_MIN {
        let what = format!("less than {LENGTH_MIN} characters can be guessed; use a longer one");
        entry.warn("secret", &what);
    }
    Some(ServiceConfig { name: name?, secret, credentials })
}

/// A list of ids, each one of `known`.
fn ids(
    raw: Raw<'_>,
    known: Option<&HashSet<&CredentialId>>,
) -> Result<HashSet<CredentialId>, String> {
    let array = match raw {
        Raw::Item(item) => item.as_array(),
        Raw::Variable(_) => None,
    };
    let names: Option<Vec<&str>> =
        array.and_then(|array| array.iter().map(|name| name.as_str()).collect());
    let names = names.ok_or("must be a list of ids, such as [\"wx0123456789abcdef\"]")?;
    let id = |name: &str| {
        let id: Option<CredentialId> = name.parse().ok();
        id.filter(|id| known.is_none_or(|known| known.contains(id)))
            .ok_or_else(|| format!("no credential has the id {name:?}"))
    };
    names.into_iter().map(id).collect()
}

/// A secret of two would not say who asks; one that is a bearer token, too, would open it to whoever sees addresses.
fn refuse_duplicates(entries: &[Section<'_>], services: &[ServiceConfig], tokens: &[HttpToken]) {
    let bearers: HashSet<&str> = tokens.iter().map(|token| token.secret.expose_secret()).collect();
    let (mut names, mut secrets) = (HashMap::new(), HashMap::new());
    for (entry, service) in entries.iter().zip(services) {
        let secret = service.secret.expose_secret();
        if bearers.contains(secret) {
            let what = "the same as a bearer token of http.tokens: this one stands in addresses, which proxies log";
            entry.problem("secret", what);
        }
        for (key, earlier) in [
            ("name", names.insert(service.name.as_str(), entry)),
            ("secret", secrets.insert(secret, entry)),
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
    use crate::config::testing::{ACCOUNT, loaded, refused, warned};

    const LONG: &str = "\"s3cret-s3cret-s3cret\"";

    fn service(name: &str, secret: &str, more: &str) -> String {
        format!("[[http.wechat]]\nname = {name:?}\nsecret = {secret}\n{more}\n")
    }

    #[test]
    fn a_service_may_have_the_tokens_that_it_names_or_all() {
        assert!(loaded(ACCOUNT).config.services.is_empty());
        let services = loaded(&(service("shop", LONG, "") + ACCOUNT)).config.services;
        assert_eq!((services[0].name.as_str(), &services[0].credentials), ("shop", &None));
        let id = loaded(ACCOUNT).config.credentials[0].id.clone();
        let one = service("shop", LONG, &format!("credentials = [{:?}]", id.as_str()));
        let services = loaded(&(one + ACCOUNT)).config.services;
        assert_eq!(services[0].credentials, Some([id].into_iter().collect()));
    }

    #[test]
    fn a_secret_that_is_guessable_or_plain_is_warned_of() {
        let short = service("shop", "{ env = \"WX_SECRET\" }", "");
        warned(&format!("{short}{ACCOUNT}"), &["toml:3: http.wechat[0].secret: ", "guessed"]);
        let plain = service("shop", LONG, "");
        warned(&format!("{plain}{ACCOUNT}"), &["toml:3: http.wechat[0].secret: ", "plain text"]);
    }

    #[test]
    fn what_is_missing_wrong_or_twice_is_refused() {
        let bearer = format!("[[http.tokens]]\nname = \"a\"\nscope = \"read\"\nsecret = {LONG}\n");
        for (toml, part) in [
            (
                "[[http.wechat]]\nname = \"a\"\n".to_owned(),
                "toml:1: http.wechat[0].secret: is required",
            ),
            (service("", LONG, ""), "toml:2: http.wechat[0].name: must not be empty"),
            (
                service("a", LONG, "credentials = \"wx\""),
                "toml:4: http.wechat[0].credentials: must be a list of ids",
            ),
            (
                service("a", LONG, "credentials = [\"by-mistake\"]"),
                "toml:4: http.wechat[0].credentials: no credential has the id \"by-mistake\"",
            ),
            (
                service("a", LONG, "") + &service("b", LONG, ""),
                "toml:7: http.wechat[1].secret: the same as http.wechat[0].secret, at line 3",
            ),
            (
                bearer + &service("a", LONG, ""),
                "toml:7: http.wechat[0].secret: the same as a bearer token",
            ),
        ] {
            refused(&format!("{toml}{ACCOUNT}"), &[part]);
        }
    }
}

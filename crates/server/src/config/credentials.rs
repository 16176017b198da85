//! The list `[[credentials]]`, of the main file and of those that it includes.

use std::collections::HashMap;
use std::time::Duration;

use url::{Host, Url};
use zhongkong_core::credential::{CredentialId, ID_MAX, Kind, Unit};
use zhongkong_core::outlook::Rules;
use zhongkong_core::timing::Timing;
use zhongkong_upstream::Provider;

use super::basics::http_url;
use super::keys::CREDENTIAL;
use super::publish::{self, PublishConfig};
use super::refresh::{HOLD, OVERLAP, RefreshConfig, prove};
use super::secret::{SecretSource, secret};
use super::section::Section;
use super::value::Raw;

/// The most credentials, of all files together.
const CREDENTIALS_MAX: usize = 100_000;
/// WeChat's own address.
const BASE_URL: &str = "https://api.weixin.qq.com";

/// An account at an upstream.
#[derive(Clone, Debug)]
pub struct CredentialConfig {
    /// Its name here.
    pub id: CredentialId,
    /// How its tokens are got.
    pub provider: Provider,
    /// Its name at the upstream.
    pub app_id: String,
    /// What proves that it is ours.
    pub secret: SecretSource,
    /// Where the upstream is; its path ends with a slash, so that others can be joined to it.
    pub base_url: Url,
    /// The times that hold for it, proved.
    pub timing: Timing,
    /// The keys of SDKs that are kept current, too.
    pub publish: Vec<PublishConfig>,
    /// The tickets that are kept with its access token.
    pub tickets: Vec<Kind>,
}

impl CredentialConfig {
    /// Its units, the access token's first.
    pub(crate) fn units(&self) -> impl Iterator<Item = Unit> {
        let kinds = std::iter::once(Kind::AccessToken).chain(self.tickets.iter().copied());
        kinds.map(|kind| Unit { id: self.id.clone(), kind })
    }

    /// The rules of its unit `kind`.
    pub(crate) fn rules(&self, kind: Kind) -> Rules {
        Rules::of(kind, self.provider.nature(), &self.timing)
    }
}

/// The credentials of all `roots`; what is wrong with one leaves it out.
pub(super) fn read(
    roots: &[Section<'_>],
    section: &Section<'_>,
    refresh: &RefreshConfig,
    prefix: &str,
) -> Vec<CredentialConfig> {
    let mut entries = Vec::new();
    for root in roots {
        entries.extend(root.sections(&CREDENTIAL, CREDENTIALS_MAX - entries.len()));
    }
    if entries.is_empty() {
        section.findings.warn(
            &roots[0].place_of("credentials"),
            "credentials",
            "none is configured, so nothing is refreshed; add [[credentials]]",
        );
        prove((section, refresh), None, OVERLAP, HOLD);
    }
    // Thousands share the same times: each pair is proved, and blamed, once.
    let mut proved: HashMap<(Duration, Duration), Option<Timing>> = HashMap::new();
    let mut credentials = Vec::new();
    for entry in &entries {
        let credential = credential(entry, |overlap, hold| {
            let fresh = || prove((section, refresh), Some(entry), overlap, hold);
            *proved.entry((overlap, hold)).or_insert_with(fresh)
        });
        credentials.extend(credential.map(|credential| (entry, credential)));
    }
    compare(&credentials);
    publish::compare(&credentials, prefix);
    credentials.into_iter().map(|(_, credential)| credential).collect()
}

fn credential(
    entry: &Section<'_>,
    prove: impl FnOnce(Duration, Duration) -> Option<Timing>,
) -> Option<CredentialConfig> {
    let providers = Provider::ALL.map(|provider| (provider.name(), provider));
    let provider = entry.required("provider", entry.read("provider", |raw| raw.choice(&providers)));
    let app_id = entry.required("app_id", entry.read("app_id", |raw| name(raw, "an app_id")));
    let id = entry.read("id", |raw| name(raw, "an id"));
    let secret = entry.required("secret", secret(entry, "secret"));
    let base_url = entry.read_or("base_url", BASE_URL, base_url);
    let overlap = entry.duration("overlap").unwrap_or(OVERLAP);
    let hold = entry.duration("hold").unwrap_or(HOLD);
    let timing = prove(overlap, hold);
    let tickets = Kind::TICKETS.map(|kind| (kind.ticket().unwrap_or_default(), kind));
    let tickets = entry.read("tickets", |raw| raw.choices(&tickets)).unwrap_or_default();

    let (app_id, base_url) = (app_id?, base_url?);
    if base_url.as_str().trim_end_matches('/') == BASE_URL && (overlap != OVERLAP || hold < HOLD) {
        let key = if overlap == OVERLAP { "hold" } else { "overlap" };
        let what = format!("differs from WeChat's own, though base_url is {BASE_URL}; remove it");
        entry.warn(key, &what);
    }
    if base_url.scheme() == "http" && !is_loopback(&base_url) {
        entry
            .warn("base_url", "http: secret and tokens cross the network in plain text; use https");
    }
    let text = secret.as_ref().map(|(_, text)| text);
    let publish = publish::read(entry, app_id.as_str(), &tickets, text);
    Some(CredentialConfig {
        id: id.unwrap_or_else(|| app_id.clone()),
        provider: provider?,
        app_id: app_id.to_string(),
        secret: secret?.0,
        base_url,
        timing: timing?,
        publish,
        tickets,
    })
}

/// An app_id has the form of an id, whose default it is.
fn name(raw: Raw<'_>, what: &str) -> Result<CredentialId, String> {
    let wrong = |_| format!("{what} must be 1 to {ID_MAX} characters of A-Z a-z 0-9 . _ -");
    raw.text()?.parse().map_err(wrong)
}

fn base_url(raw: Raw<'_>) -> Result<Url, String> {
    let mut url = http_url(raw.text()?)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user and no password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must hold no query and no fragment".to_owned());
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// Whether `url` names this machine itself.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Two entries of one id would be one unit with two secrets; two ids of one account kill each other's tokens.
fn compare(credentials: &[(&Section<'_>, CredentialConfig)]) {
    let (mut ids, mut accounts) = (HashMap::new(), HashMap::new());
    for (entry, credential) in credentials {
        let account = (credential.provider, credential.app_id.as_str());
        // The id stands where the app_id does if it is not given.
        let id_key = |entry: &Section<'_>| if entry.has("id") { "id" } else { "app_id" };
        if let Some(earlier) = ids.insert(&credential.id, *entry) {
            let there = earlier.place_of(id_key(earlier));
            let there = entry.place_of(id_key(entry)).refer_to(&there);
            let what =
                format!("the id {} is already taken by {} {there}", credential.id, earlier.name());
            entry.problem(id_key(entry), &what);
        } else if let Some(earlier) = accounts.insert(account, *entry) {
            let there = entry.place_of("app_id").refer_to(&earlier.place_of("app_id"));
            let what = format!(
                "the same account as {} {there}: under two ids, they fetch without regard for each other; remove one",
                earlier.name()
            );
            entry.warn("app_id", &what);
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::config::testing::{ACCOUNT, loaded, refused, warned};

    fn with(line: &str) -> String {
        format!("{ACCOUNT}{line}\n")
    }

    #[test]
    fn an_account_needs_no_more_than_provider_app_id_and_secret() {
        let credential = loaded(ACCOUNT).config.credentials.remove(0);
        assert_eq!(credential.id.as_str(), "wx0123456789abcdef");
        assert_eq!(credential.provider, Provider::WeChat);
        assert_eq!(credential.base_url.as_str(), "https://api.weixin.qq.com/");
        assert_eq!(credential.timing.times().overlap.as_secs(), 300);
        assert_eq!(credential.timing.times().hold.as_secs(), 40);
        assert_eq!(credential.secret.read().unwrap().expose_secret(), "s3cret");
        for key in ["provider", "app_id", "secret"] {
            let rest: Vec<&str> = ACCOUNT.lines().filter(|line| !line.starts_with(key)).collect();
            let message = format!("zhongkong.toml:2: credentials[0].{key}: is required");
            refused(&rest.join("\n"), &[&message]);
        }
    }

    #[test]
    fn a_simulator_has_times_and_an_address_of_its_own() {
        let toml = with(
            "id = \"shop\"\nbase_url = \"http://127.0.0.1:9000/a\"\noverlap = \"4m\"\nhold = \"2s\"",
        );
        let loaded = loaded(&toml);
        assert_eq!(loaded.warnings, Vec::<String>::new());
        let credential = &loaded.config.credentials[0];
        assert_eq!(credential.base_url.join("cgi-bin/token").unwrap().path(), "/a/cgi-bin/token");
        assert_eq!((credential.id.as_str(), &*credential.app_id), ("shop", "wx0123456789abcdef"));
        assert_eq!(credential.timing.times().overlap.as_secs(), 240);
    }

    #[test]
    fn tickets_are_kept_where_they_are_named() {
        let kinds = |line: &str| {
            let credential = loaded(&with(line)).config.credentials.remove(0);
            credential.units().map(|unit| unit.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(""), [Kind::AccessToken]);
        assert_eq!(kinds("tickets = []"), [Kind::AccessToken]);
        assert_eq!(kinds("tickets = [\"wx_card\", \"jsapi\"]"), Kind::ALL);
        assert_eq!(kinds("tickets = [\"jsapi\"]"), [Kind::AccessToken, Kind::JsapiTicket]);
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        for (line, part) in [
            ("id = \"a b\"", "zhongkong.toml:6: credentials[0].id: an id must be 1 to 128"),
            ("id = 7", "credentials[0].id: must be a string, found integer"),
            ("base_url = \"api.weixin.qq.com\"", "credentials[0].base_url: must be an address"),
            ("base_url = \"ftp://h\"", "http:// or https://"),
            ("base_url = \"https://u:s3cret@h\"", "no user and no password"),
            ("base_url = \"https://h?a=1\"", "no query"),
            ("overlap = \"0s\"", "credentials[0].overlap: must be more than zero"),
            ("tickets = \"jsapi\"", "such as [\"jsapi\", \"wx_card\"]"),
            ("tickets = [7]", "credentials[0].tickets: must be a list of text"),
            (
                "tickets = [\"jsapi_ticket\"]",
                "unknown value \"jsapi_ticket\" (known: jsapi, wx_card)",
            ),
            ("tickets = [\"jsapi\", \"jsapi\"]", "\"jsapi\" is repeated"),
        ] {
            refused(&with(line), &[part]);
        }
        let provider = ACCOUNT.replace("\"wechat\"", "\"wechat_stable\"");
        refused(&provider, &["toml:3: credentials[0].provider: ", "did you mean `wechat-stable`?"]);
        refused("credentials = 7", &["must be a list of tables: [[credentials]]"]);
    }

    #[test]
    fn an_id_that_is_taken_names_both_places() {
        let twice = format!("{ACCOUNT}{ACCOUNT}");
        let message = "zhongkong.toml:9: credentials[1].app_id: the id wx0123456789abcdef is already \
                       taken by credentials[0] at line 4";
        refused(&twice, &[message]);
    }

    #[test]
    fn what_is_odd_is_warned_of() {
        let twice = format!("{ACCOUNT}{}", with("id = \"other\""));
        warned(
            &twice,
            &["toml:9: credentials[1].app_id: the same account as credentials[0] at line 4"],
        );
        let plain = ACCOUNT.replace("{ env = \"WX_SECRET\" }", "\"s3cret\"");
        warned(&plain, &["zhongkong.toml:5: credentials[0].secret: a secret in plain text"]);
        warned(
            &with("overlap = \"6m\""),
            &["toml:6: credentials[0].overlap: differs from WeChat's"],
        );
        warned(&with("hold = \"30s\""), &["toml:6: credentials[0].hold: differs from WeChat's"]);
        warned(&with("base_url = \"http://10.0.0.1\""), &["toml:6: credentials[0].base_url: http"]);
        warned("", &["zhongkong.toml: credentials: none is configured"]);
    }

    #[test]
    fn an_inline_list_is_as_good_as_tables() {
        let toml = "credentials = [
            { provider = \"wechat-stable\", app_id = \"wx1\", secret = { env = \"WX_SECRET\" } },
            { provider = \"wechat-stable\", app_id = \"wx 2\", secret = { env = \"WX_SECRET\" } },
        ]";
        refused(toml, &["zhongkong.toml:3: credentials[1].app_id: an app_id must be"]);
    }

    #[test]
    fn more_than_a_hundred_thousand_are_refused() {
        let toml = format!("credentials = [{}]", "{},".repeat(CREDENTIALS_MAX + 1));
        refused(&toml, &["zhongkong.toml:1: credentials: 100001 entries, more than 100000"]);
    }
}

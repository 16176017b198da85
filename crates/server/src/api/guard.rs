//! Who may ask what: bearer tokens where they are configured, loopback only where they are not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::Api;
use super::listen::Peer;
use super::problem::Problem;
use super::sign_ins::Verdict;
use crate::config::{HttpConfig, HttpToken, Scope};

/// Where browsers say whose page asks, also for what they ask without an `Origin`: images, scripts, frames.
pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Counts calls with a wrong bearer token.
pub(super) const FAILED_SIGN_INS: &str = "zhongkong_http_failed_sign_ins_total";

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing.
    Anybody,
    /// Without bearer tokens: that no foreign web page asks. With them: nothing.
    NoWebPage,
    /// Without bearer tokens: that no foreign web page asks. With them: one of this scope or a higher one.
    Scoped(Scope),
}

/// Who makes a call that needs a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// The name of the bearer token, or `loopback`.
    name: Arc<str>,
    scope: Scope,
}

/// Why a call may not be made.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// It shows a bearer token that nobody has, or one that cannot be told from those now.
    WrongBearer,
    /// Anything else.
    Other(Problem),
}

/// The bearer tokens; none of them means that every scope is open, on loopback only.
#[derive(Debug)]
pub(super) struct Guard {
    bearers: Vec<Bearer>,
}

#[derive(Debug)]
struct Bearer {
    /// SHA-256: of one length, so that a comparison says nothing about the token's.
    hash: [u8; 32],
    /// Somebody could try all of its length.
    guessable: bool,
    caller: Caller,
}

impl Caller {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What it may do.
    pub(super) const fn scope(&self) -> Scope {
        self.scope
    }
}

/// For calls that need a scope: the guard says who passed.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(Problem::unauthorized)
    }
}

impl Guard {
    pub(super) fn new(config: &HttpConfig) -> Self {
        let bearer = |token: &HttpToken| Bearer {
            hash: hash(token.secret.expose_secret()),
            guessable: token.is_guessable(),
            caller: Caller { name: token.name.as_str().into(), scope: token.scope },
        };
        Self { bearers: config.tokens.iter().map(bearer).collect() }
    }

    /// Who asks, where a scope is needed; an error if they may not.
    /// `is_barred`: whether too many wrong bearer tokens came from where the request comes from.
    pub(super) fn admits(
        &self,
        request: &Request,
        access: Access,
        is_barred: impl FnOnce() -> bool,
    ) -> Result<Option<Caller>, Refusal> {
        let open = self.bearers.is_empty();
        if open && access != Access::Anybody {
            refuse_web_pages(request).map_err(Refusal::Other)?;
        }
        let Access::Scoped(scope) = access else { return Ok(None) };
        if open {
            return Ok(Some(Caller { name: "loopback".into(), scope: Scope::Admin }));
        }
        if !request.headers().contains_key(AUTHORIZATION) {
            return Err(Refusal::Other(Problem::unauthorized()));
        }
        let bearer = self.bearer(request.headers()).ok_or(Refusal::WrongBearer)?;
        if bearer.guessable && is_barred() {
            return Err(Refusal::WrongBearer);
        }
        if bearer.caller.scope < scope {
            let what = "this bearer token's scope does not allow the call";
            return Err(Refusal::Other(Problem::forbidden(what)));
        }
        Ok(Some(bearer.caller.clone()))
    }

    /// The known bearer token that the headers hold.
    fn bearer(&self, headers: &HeaderMap) -> Option<&Bearer> {
        let (scheme, given) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let given = hash(given);
        // Every token is compared, so that the time taken says nothing.
        let mut known = None;
        for bearer in &self.bearers {
            if bool::from(bearer.hash.ct_eq(&given)) {
                known = Some(bearer);
            }
        }
        known
    }
}

/// Every call of the table passes here.
pub(super) async fn check(
    State((api, access)): State<(Api, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    let guard = Arc::clone(&api.guard.borrow());
    let (peer, now) = (Peer::of(&request), Instant::now());
    let is_barred = || api.sign_ins().is_barred(peer.address, now);
    match guard.admits(&request, access, is_barred) {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(Refusal::WrongBearer) => wrong_bearer(&api, peer, now).into_response(),
        Err(Refusal::Other(problem)) => problem.into_response(),
    }
}

/// What a wrong bearer token is answered.
fn wrong_bearer(api: &Api, peer: Peer, now: Instant) -> Problem {
    let wait = failed_sign_in(api, peer, now);
    wait.map_or_else(Problem::unauthorized, Problem::too_many_attempts)
}

/// Counts a wrong bearer token, or a wrong secret of a service: how long until another one from there is looked at, if
/// there were too many.
pub(super) fn failed_sign_in(api: &Api, peer: Peer, now: Instant) -> Option<Duration> {
    metrics::counter!(FAILED_SIGN_INS).increment(1);
    let verdict = api.sign_ins().fail(peer.address, now);
    let Verdict::TooMany { wait, first } = verdict else { return None };
    if first {
        tracing::warn!(
            address = %peer.address,
            "many calls from this address have a wrong bearer token: a service was given another than one of \
             http.tokens or http.wechat, or somebody guesses; for a while more of them are answered 429 (errcode 45011), \
             and so are right ones of less than 16 characters"
        );
    }
    Some(wait)
}

/// Web pages must not reach a worker through the browser of somebody on the same machine.
///
/// A page whose own name was pointed at loopback (DNS rebinding) is known by that name, which the browser sends as
/// `Host`; any other page by its `Origin`, or by `Sec-Fetch-Site` where there is none.
fn refuse_web_pages(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let host = headers.get(HOST).and_then(|host| authority(host.as_bytes()));
    // A request that names its target in full (`GET http://…/`) means that name, whatever `Host` says.
    // Nobody who may come here has two names for a worker, so both have to be right.
    let names = [host.as_ref(), request.uri().authority().or(host.as_ref())];
    if !names.into_iter().all(|name| name.is_some_and(is_loopback)) {
        return Err(Problem::forbidden("without http.tokens, Host must be a loopback name"));
    }
    let scheme = if Peer::of(request).encrypted { "https://" } else { "http://" };
    let own_page = |origin: &str| {
        let page = origin.strip_prefix(scheme).zip(host.as_ref());
        page.is_some_and(|(page, host)| page.eq_ignore_ascii_case(host.as_str()))
    };
    let own_site = |site: &str| matches!(site, "same-origin" | "none");
    let fits = |name: HeaderName, own: &dyn Fn(&str) -> bool| {
        headers.get(name).is_none_or(|value| value.to_str().is_ok_and(own))
    };
    if fits(ORIGIN, &own_page) && fits(SEC_FETCH_SITE, &own_site) {
        Ok(())
    } else {
        Err(Problem::forbidden("the call comes from a foreign web page"))
    }
}

/// A host and perhaps a port. Names of users before it, which `http` would take, have no place in a request.
pub(super) fn authority(text: &[u8]) -> Option<Authority> {
    let authority = Authority::try_from(text).ok()?;
    let port = authority.as_str().strip_prefix(authority.host())?;
    (port.is_empty() || authority.port_u16().is_some()).then_some(authority)
}

/// Whether no name server has a say in where this leads. Any other spelling of such a name is refused.
fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().map(IpAddr::from),
        None => host.parse::<Ipv4Addr>().map(IpAddr::from),
    };
    match address {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    const EVERY: [Access; 3] = [Access::Anybody, Access::NoWebPage, Access::Scoped(Scope::Admin)];

    fn request(target: &str, headers: &[(HeaderName, &str)]) -> Request {
        let request = headers
            .iter()
            .fold(Request::get(target), |request, (name, value)| request.header(name, *value));
        request.body(Body::empty()).unwrap()
    }

    fn guard(tokens: &[(&str, Scope, &str)]) -> Guard {
        let token = |&(name, scope, secret): &(&str, Scope, &str)| HttpToken {
            name: name.to_owned(),
            scope,
            secret: secret.to_owned().into(),
        };
        let tokens = tokens.iter().map(token).collect();
        Guard::new(&HttpConfig { listen: ([127, 0, 0, 1], 0).into(), tls: None, tokens })
    }

    /// Whether a guard without tokens lets the request through, to what web pages must not reach.
    #[track_caller]
    fn open(target: &str, headers: &[(HeaderName, &str)]) -> bool {
        let request = request(target, headers);
        let [anybody, page, scoped] =
            EVERY.map(|access| guard(&[]).admits(&request, access, || false).is_ok());
        assert!(anybody && page == scoped);
        scoped
    }

    #[test]
    fn without_tokens_only_loopback_names_are_admitted() {
        for host in [
            "127.0.0.1:8620",
            "127.8.8.8",
            "localhost:8620",
            "LocalHost",
            "[::1]:8620",
            "[::1]",
            "[::ffff:127.0.0.1]:80",
        ] {
            assert!(open("/", &[(HOST, host)]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.example:8620",
            "localhost.",
            "localhost@evil.example",
            "evil.example@localhost",
            "localhost:80@evil.example",
            "localhost:8620:8620",
            "localhost:port",
            "localhost:99999",
            "localhost/",
            "localhost#.evil.example",
            "localhost\\.evil.example",
            "localhost evil.example",
            "localhost,evil.example",
            "%6cocalhost",
            "0.0.0.0:8620",
            "0",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "10.0.0.1",
            "::1",
            "[::]:8620",
            "[::1",
            "[::1%25lo]",
            "[fe80::1]",
            "[127.0.0.1]",
        ] {
            assert!(!open("/", &[(HOST, host)]), "{host}");
        }
        assert!(!open("/", &[]));
    }

    #[test]
    fn a_target_named_in_full_counts_as_well_as_the_host() {
        let host = (HOST, "127.0.0.1:8620");
        assert!(open("http://127.0.0.1:8620/", std::slice::from_ref(&host)));
        assert!(!open("http://evil.example/", std::slice::from_ref(&host)));
        assert!(!open("http://evil.example@127.0.0.1/x", &[(HOST, "evil.example")]));
        assert!(!open("http://127.0.0.1:8620/", &[(HOST, "evil.example")]));
        assert!(!open("http://127.0.0.1:8620/", &[]));
    }

    #[test]
    fn without_tokens_no_foreign_page_is_admitted() {
        let host = (HOST, "localhost:8620");
        for own in ["http://localhost:8620", "http://LOCALHOST:8620"] {
            assert!(open("/", &[host.clone(), (ORIGIN, own)]), "{own}");
        }
        for foreign in [
            "null",
            "",
            "https://evil.example",
            "https://localhost:8620",
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:8620",
            "http://localhost:8620.evil.example",
            "localhost:8620",
        ] {
            assert!(!open("/", &[host.clone(), (ORIGIN, foreign)]), "{foreign}");
        }
        for (site, admitted) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)]
        {
            assert_eq!(open("/", &[host.clone(), (SEC_FETCH_SITE, site)]), admitted, "{site}");
        }
    }

    #[test]
    fn with_tokens_it_does_not_matter_where_a_call_comes_from() {
        let guard = guard(&[("shop", Scope::Admin, "a-long-enough-secret")]);
        let headers = [
            (HOST, "zhongkong.example"),
            (ORIGIN, "https://dashboard.example"),
            (AUTHORIZATION, "Bearer a-long-enough-secret"),
        ];
        for access in EVERY {
            assert!(guard.admits(&request("/", &headers), access, || true).is_ok());
        }
    }

    #[test]
    fn a_bearer_token_opens_its_scope_and_those_below_and_names_the_caller() {
        let scopes = [Scope::Read, Scope::Token, Scope::Admin];
        let given = |value: &'static str| request("/", &[(AUTHORIZATION, value)]);
        for granted in scopes {
            let other = ("other", Scope::Admin, "another-long-enough-secret");
            let guard = guard(&[("shop", granted, "a-long-enough-secret"), other]);
            for needed in scopes {
                let access = Access::Scoped(needed);
                let admitted = guard.admits(&given("bearer a-long-enough-secret"), access, || true);
                let expected = (granted >= needed).then_some("shop");
                let caller = admitted.ok().flatten();
                assert_eq!(caller.as_ref().map(Caller::name), expected, "{granted:?} {needed:?}");
                for wrong in [
                    "",
                    "Bearer",
                    "Bearer ",
                    "Bearer a-long-enough-secre",
                    "Bearer a-long-enough-secret ",
                    "Bearer  a-long-enough-secret",
                    "Bearer A-LONG-ENOUGH-SECRET",
                    "Basic a-long-enough-secret",
                    "a-long-enough-secret",
                ] {
                    let refused = guard.admits(&given(wrong), access, || false);
                    assert!(matches!(refused, Err(Refusal::WrongBearer)), "{wrong}");
                }
            }
            let nothing = guard.admits(&request("/", &[]), Access::Scoped(Scope::Read), || false);
            assert!(matches!(nothing, Err(Refusal::Other(_))), "no sign-in has failed");
        }
    }

    #[test]
    fn only_a_bearer_token_that_can_be_guessed_is_barred_with_its_address() {
        let guard = guard(&[
            ("short", Scope::Read, "fifteen-letters"),
            ("long", Scope::Read, "sixteen-letters!"),
        ]);
        for (bearer, is_barred, admitted) in [
            ("fifteen-letters", false, true),
            ("fifteen-letters", true, false),
            ("sixteen-letters!", true, true),
        ] {
            let request = request("/", &[(AUTHORIZATION, &format!("Bearer {bearer}"))]);
            let access = Access::Scoped(Scope::Read);
            assert_eq!(guard.admits(&request, access, || is_barred).is_ok(), admitted, "{bearer}");
        }
    }

    #[test]
    fn over_tls_the_own_page_is_that_of_https() {
        for (encrypted, scheme, admitted) in [
            (true, "https", true),
            (true, "http", false),
            (false, "https", false),
            (false, "http", true),
        ] {
            let origin = format!("{scheme}://localhost:8620");
            let mut request = request("/", &[(HOST, "localhost:8620"), (ORIGIN, &origin)]);
            let address = Ipv4Addr::LOCALHOST.into();
            request.extensions_mut().insert(Peer { address, encrypted });
            let outcome = guard(&[]).admits(&request, Access::NoWebPage, || false);
            assert_eq!(outcome.is_ok(), admitted, "{encrypted} {scheme}");
        }
    }
}

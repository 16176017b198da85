//! Who may ask what: bearer tokens where they are configured, loopback only where they are not.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Method};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Api;
use super::problem::Problem;
use crate::config::{HttpConfig, Scope, is_loopback};

/// The bearer tokens, hashed; none of them means that every scope is open, on loopback only.
#[derive(Debug)]
pub(super) struct Guard {
    tokens: Vec<([u8; 32], Scope)>,
}

impl Guard {
    pub(super) fn new(config: &HttpConfig) -> Self {
        let hashed =
            |token: &crate::config::HttpToken| (hash(token.secret.expose_secret()), token.scope);
        Self { tokens: config.tokens.iter().map(hashed).collect() }
    }

    /// Whether a request with `headers` may do what needs `scope`.
    fn admits(&self, headers: &HeaderMap, scope: Scope) -> Result<(), Problem> {
        if self.tokens.is_empty() {
            return admits_from_loopback(headers);
        }
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, bearer) = header.and_then(|value| value.split_once(' ')).unzip();
        let bearer = bearer.filter(|_| scheme.is_some_and(|s| s.eq_ignore_ascii_case("bearer")));
        let given = hash(bearer.ok_or_else(Problem::unauthorized)?);
        // Every token is compared, so that the time taken says nothing.
        let mut granted = None;
        for (token, scope) in &self.tokens {
            if bool::from(token.ct_eq(&given)) {
                granted = Some(*scope);
            }
        }
        match granted {
            None => Err(Problem::unauthorized()),
            Some(granted) if granted < scope => {
                Err(Problem::forbidden("this bearer token's scope does not allow the call"))
            }
            Some(_) => Ok(()),
        }
    }
}

/// What needs no bearer token is nothing for web pages, either.
pub(super) async fn check_origin(State(api): State<Api>, request: Request, next: Next) -> Response {
    let open = api.guard.borrow().tokens.is_empty();
    match admits_from_loopback(request.headers()) {
        Err(problem) if open => problem.into_response(),
        Ok(()) | Err(_) => next.run(request).await,
    }
}

/// Every guarded call passes here.
pub(super) async fn check(State(api): State<Api>, request: Request, next: Next) -> Response {
    let scope = if request.method() == Method::POST { Scope::Admin } else { Scope::Read };
    let guard = api.guard.borrow().clone();
    match guard.admits(request.headers(), scope) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Web pages must not reach a worker through the browser of somebody on the same machine:
/// a foreign name in `Host` (DNS rebinding) or in `Origin` is refused.
fn admits_from_loopback(headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let named = format!("http://{host}/").parse();
    if host.is_empty() || !named.is_ok_and(|url| is_loopback(&url)) {
        return Err(Problem::forbidden("without http.tokens, Host must be a loopback name"));
    }
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let own = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
    if own.is_some_and(|authority| authority == host) {
        Ok(())
    } else {
        Err(Problem::forbidden("the call comes from a foreign web page"))
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HttpToken;

    fn headers(pairs: &[(http::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.clone(), http::HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn without_tokens_only_loopback_names_and_no_foreign_page_are_admitted() {
        let open = Guard { tokens: Vec::new() };
        let admits = |pairs: &[(http::HeaderName, &'static str)]| {
            open.admits(&headers(pairs), Scope::Admin).is_ok()
        };
        assert!(admits(&[(HOST, "127.0.0.1:8620")]));
        assert!(admits(&[(HOST, "localhost:8620")]) && admits(&[(HOST, "[::1]:8620")]));
        assert!(!admits(&[(HOST, "evil.example")]) && !admits(&[]));
        assert!(!admits(&[(HOST, "localhost.evil.example")]));
        assert!(!admits(&[(HOST, "127.0.0.1"), (ORIGIN, "https://evil.example")]));
        assert!(admits(&[(HOST, "localhost:8620"), (ORIGIN, "http://localhost:8620")]));
        assert!(!admits(&[(HOST, "localhost:8620"), (ORIGIN, "null")]));
    }

    #[test]
    fn a_bearer_token_opens_its_scope_and_those_below() {
        let token = |scope| HttpToken {
            name: "shop".to_owned(),
            scope,
            secret: "a-long-enough-secret".to_owned().into(),
        };
        let guard =
            |scope| Guard { tokens: vec![(hash(token(scope).secret.expose_secret()), scope)] };
        let given = headers(&[(AUTHORIZATION, "Bearer a-long-enough-secret")]);
        assert!(guard(Scope::Admin).admits(&given, Scope::Admin).is_ok());
        assert!(guard(Scope::Token).admits(&given, Scope::Read).is_ok());
        assert!(guard(Scope::Read).admits(&given, Scope::Admin).is_err());
        let wrong = headers(&[(AUTHORIZATION, "Bearer another"), (HOST, "localhost")]);
        assert!(guard(Scope::Admin).admits(&wrong, Scope::Read).is_err());
        assert!(guard(Scope::Admin).admits(&headers(&[(HOST, "localhost")]), Scope::Read).is_err());
    }
}

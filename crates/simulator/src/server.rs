//! The upstream over HTTP: requests are read as the real one reads them, and handed to their call.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::oneshot;
use url::form_urlencoded;

use crate::call::{Call, Reply};
use crate::connection::Peer;
use crate::control;
use crate::handle::Handle;
use crate::rules::{Endpoint, Request};
use crate::state::Shared;

/// Real requests are a few hundred bytes.
const BODY_LIMIT: usize = 64 * 1024;

pub(crate) fn router(handle: Handle) -> Router {
    Router::new().nest("/_simulator", control::routes()).fallback(serve).with_state(handle)
}

async fn serve(
    State(Handle { shared }): State<Handle>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: axum::extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let Some((caller, path)) = split_caller(head.uri.path(), peer.address) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let query = head.uri.query().unwrap_or_default();
    let Some(request) = read(&head.method, path, query, &body) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let call = Call::receive(&shared, request, caller);
    let _awaited = Awaited { shared: Arc::clone(&shared), call: call.id };
    let (sender, receiver) = oneshot::channel();
    shared.tasks.spawn(call.run(sender));
    if let Ok(Reply::Answer(response)) = receiver.await {
        return response;
    }
    peer.cut.cancel();
    // The connection fails at its next read and drops this future; an answer must not win.
    std::future::pending().await
}

/// Tells the journal when the server drops a call because its caller went away. A call that has
/// ended is not affected.
struct Awaited {
    shared: Arc<Shared>,
    call: u64,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.shared.update(|state, now| state.journal.caller_gone(self.call, now.ms));
    }
}

/// Below `/as/{ip}`, that address is taken as the caller's: many callers share one machine.
fn split_caller(path: &str, peer: IpAddr) -> Option<(IpAddr, &str)> {
    match path.strip_prefix("/as/") {
        None => Some((peer, path)),
        Some(rest) => {
            let end = rest.find('/')?;
            let caller = rest[..end].parse().ok()?;
            Some((caller, &rest[end..]))
        }
    }
}

fn read(method: &Method, path: &str, query: &str, body: &[u8]) -> Option<Request> {
    let mut query: HashMap<String, String> =
        form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let endpoint = match path {
        "/cgi-bin/token" => Endpoint::Legacy,
        "/cgi-bin/stable_token" => Endpoint::Stable,
        "/cgi-bin/get_api_domain_ip" => Endpoint::Probe,
        "/cgi-bin/ticket/getticket" => Endpoint::Ticket,
        "/cgi-bin/clear_quota/v2" => Endpoint::ClearQuota,
        _ => return None,
    };
    let by_post = matches!(endpoint, Endpoint::Stable | Endpoint::ClearQuota);
    let fields = match endpoint {
        _ if by_post && method != Method::POST => Err(43002),
        Endpoint::Stable if body.is_empty() => Err(44002),
        Endpoint::Stable => object(body),
        // By its documentation in the body, by its sample in the query: both are taken.
        Endpoint::ClearQuota if !body.is_empty() => object(body),
        _ => Ok(Value::Null),
    };
    let malformed = fields.as_ref().err().copied();
    let fields = fields.unwrap_or_default();
    let mut text = |name: &str| match fields.get(name) {
        Some(value) => value.as_str().map(str::to_owned).unwrap_or_default(),
        None if endpoint == Endpoint::Stable => String::new(),
        None => query.remove(name).unwrap_or_default(),
    };
    let secret = if endpoint == Endpoint::ClearQuota { "appsecret" } else { "secret" };
    Some(Request {
        endpoint,
        app_id: text("appid"),
        secret: text(secret),
        grant_type: text("grant_type"),
        access_token: text("access_token"),
        ticket_type: text("type"),
        force: fields.get("force_refresh").and_then(Value::as_bool).unwrap_or(false),
        malformed,
    })
}

fn object(body: &[u8]) -> Result<Value, i32> {
    let value: Value = serde_json::from_slice(body).map_err(|_| 47001)?;
    let force = value.get("force_refresh");
    let well_formed = value.is_object() && force.is_none_or(Value::is_boolean);
    well_formed.then_some(value).ok_or(47001)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_path_can_name_its_caller() {
        let named: IpAddr = "10.0.0.7".parse().unwrap();
        assert_eq!(
            split_caller("/as/10.0.0.7/cgi-bin/token", PEER),
            Some((named, "/cgi-bin/token"))
        );
        assert_eq!(split_caller("/cgi-bin/token", PEER), Some((PEER, "/cgi-bin/token")));
        assert_eq!(split_caller("/as/nobody/cgi-bin/token", PEER), None);
        assert_eq!(split_caller("/as/10.0.0.7", PEER), None);
    }

    #[track_caller]
    fn malformed(method: &Method, body: &str) -> Option<i32> {
        read(method, "/cgi-bin/stable_token", "", body.as_bytes()).unwrap().malformed
    }

    #[test]
    fn a_stable_call_is_a_post_of_json() {
        assert_eq!(malformed(&Method::GET, ""), Some(43002));
        assert_eq!(malformed(&Method::POST, ""), Some(44002));
        assert_eq!(malformed(&Method::POST, "appid=wx1"), Some(47001));
        assert_eq!(malformed(&Method::POST, r#"{"force_refresh":"yes"}"#), Some(47001));
        assert_eq!(malformed(&Method::POST, r#"{"force_refresh":true}"#), None);
    }

    #[test]
    fn a_query_is_decoded() {
        let query = "grant_type=client_credential&appid=wx1&secret=a%2Bb%20c";
        let request = read(&Method::GET, "/cgi-bin/token", query, b"").unwrap();
        assert_eq!((request.app_id.as_str(), request.secret.as_str()), ("wx1", "a+b c"));
        assert!(read(&Method::GET, "/cgi-bin/other", query, b"").is_none());
    }
}

//! The life of one call: held, delayed, processed, answered or cut, whether or not its caller waits.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::faults::{FaultKind, HeldCall, Point};
use crate::journal::Received;
use crate::message::rid;
use crate::orders::{Plan, Target};
use crate::record::{Ending, Outcome};
use crate::rules::{Request, Verdict};
use crate::state::{Held, Shared};

/// What goes back to the connection.
pub(crate) enum Reply {
    Answer(Response<Body>),
    /// Not a byte: the connection is cut.
    Cut,
}

/// A call that was received and entered in the journal.
pub(crate) struct Call {
    pub(crate) id: u64,
    shared: Arc<Shared>,
    request: Request,
    caller: IpAddr,
    plan: Plan,
}

const OVERSIZE: usize = 2 * 1024 * 1024;
const PAGE: &str = "<html><head><title>Error</title></head><body>upstream</body></html>";

impl Call {
    pub(crate) fn receive(shared: &Arc<Shared>, mut request: Request, caller: IpAddr) -> Self {
        shared.update(|state, now| {
            let presented = state.upstream.find_token(&request.access_token).map(|token| {
                request.app_id.clone_from(&token.app_id);
                token.serial
            });
            let (app_id, endpoint) = (request.app_id.clone(), request.endpoint);
            let plan = state.orders.plan(Target { app_id: &app_id, caller, endpoint });
            let fault = plan.fault.as_ref().map(FaultKind::name);
            let forced = request.force;
            let received = Received { endpoint, app_id, caller, forced, presented, fault };
            let id = state.journal.received(received, now.ms);
            Self { id, shared: Arc::clone(shared), request, caller, plan }
        })
    }

    /// Runs apart from the connection, because the real upstream does not notice either when a
    /// caller has given up.
    pub(crate) async fn run(self, reply: oneshot::Sender<Reply>) {
        let stopped = self.shared.stopped.clone();
        tokio::select! {
            biased;
            () = stopped.cancelled() => self.end(Ending::Stopped),
            () = self.proceed(reply) => {}
        }
    }

    async fn proceed(&self, mut reply: oneshot::Sender<Reply>) {
        if self.plan.hold_received {
            self.stand_still(Point::Received).await;
        }
        match &self.plan.fault {
            Some(FaultKind::Hang) => tokio::select! {
                () = self.stand_still(Point::Hung) => {}
                () = reply.closed() => return self.give_up(),
            },
            Some(FaultKind::Late { ms }) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            _ => {}
        }
        let verdict = self.process();
        if self.plan.hold_processed {
            self.stand_still(Point::Processed).await;
        }
        if let Some(FaultKind::Latency { ms }) = &self.plan.fault {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
        }
        let (answer, cut) = self.answer(verdict);
        let ending = match (reply.is_closed(), cut) {
            (true, _) => Ending::CallerGone,
            (false, true) => Ending::Cut,
            (false, false) => Ending::Answered,
        };
        // Entered before it is sent: whoever has read the answer finds the call ended.
        self.end(ending);
        drop(reply.send(answer));
    }

    async fn stand_still(&self, point: Point) {
        let (release, released) = oneshot::channel();
        self.shared.update(|state, now| {
            let call = HeldCall {
                call: self.id,
                point,
                app_id: self.request.app_id.clone(),
                endpoint: self.request.endpoint,
                caller: self.caller,
                since_ms: now.ms,
            };
            state.held.insert(self.id, Held { call, release });
        });
        // An error would mean that nobody can release the call any more: it goes on, too.
        drop(released.await);
    }

    fn process(&self) -> Option<Verdict> {
        let Self { request, caller, .. } = self;
        let random = rand::random();
        self.shared.update(|state, now| {
            let verdict = match &self.plan.fault {
                Some(FaultKind::Errcode { errcode, errmsg }) => {
                    let usual = || {
                        let rid = rid(now, random);
                        state.upstream.errmsg(*errcode, &request.app_id, *caller, &rid)
                    };
                    let errmsg = errmsg.clone().unwrap_or_else(usual);
                    Some(Verdict::Refused { errcode: *errcode, errmsg })
                }
                Some(fault) if !fault.processes() => None,
                _ => Some(state.upstream.judge(request, *caller, now, random)),
            };
            let outcome = match &verdict {
                None => Outcome::Nothing,
                Some(Verdict::Done(_)) => Outcome::Served,
                Some(Verdict::Refused { errcode, .. }) => Outcome::Errcode { errcode: *errcode },
                Some(Verdict::Token { fetched, .. } | Verdict::Ticket { fetched, .. }) => {
                    let serial = fetched.serial;
                    if fetched.minted {
                        Outcome::Issued { serial }
                    } else {
                        Outcome::Returned { serial }
                    }
                }
            };
            state.journal.processed(self.id, outcome, now.ms);
            verdict
        })
    }

    /// The answer, and whether the connection is cut with it.
    fn answer(&self, verdict: Option<Verdict>) -> (Reply, bool) {
        let content_type =
            self.shared.read(|state, _| state.upstream.settings().content_type).header(self.id);
        let body = body(verdict, self.plan.fault.as_ref());
        let ok = StatusCode::OK;
        let answer = match &self.plan.fault {
            Some(FaultKind::LostReply | FaultKind::NoReply) => return (Reply::Cut, true),
            Some(FaultKind::Cut { .. }) => {
                return (Reply::Answer(cut_inside(content_type, &body)), true);
            }
            Some(FaultKind::HttpStatus { status, .. }) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
                respond(status, "text/html", PAGE)
            }
            Some(FaultKind::Html { .. }) => respond(ok, "text/html; charset=gbk", PAGE),
            Some(FaultKind::Empty { .. }) => respond(ok, "text/html; charset=gbk", ""),
            Some(FaultKind::Redirect { location }) => {
                let mut response = respond(StatusCode::FOUND, "text/html", "");
                if let Ok(location) = location.parse() {
                    response.headers_mut().insert(LOCATION, location);
                }
                response
            }
            _ => respond(ok, content_type, body),
        };
        (Reply::Answer(answer), false)
    }

    fn give_up(&self) {
        self.shared.update(|state, _| state.held.remove(&self.id));
        self.end(Ending::CallerGone);
    }

    fn end(&self, ending: Ending) {
        self.shared.update(|state, now| state.journal.ended(self.id, ending, now.ms));
    }
}

/// The body as JSON. A fault that processed nothing but needs a body gets a token that is none.
fn body(verdict: Option<Verdict>, fault: Option<&FaultKind>) -> String {
    let mut body = match verdict {
        Some(Verdict::Token { value, expires_in, .. }) => {
            json!({ "access_token": value, "expires_in": expires_in })
        }
        Some(Verdict::Ticket { value, expires_in, .. }) => {
            json!({ "errcode": 0, "errmsg": "ok", "ticket": value, "expires_in": expires_in })
        }
        Some(Verdict::Done(body)) => body,
        Some(Verdict::Refused { errcode, errmsg }) => {
            json!({ "errcode": errcode, "errmsg": errmsg })
        }
        None => json!({ "access_token": "never-issued-by-the-simulator", "expires_in": 7200 }),
    };
    match fault {
        Some(FaultKind::OddExpiresIn { value }) if body.get("expires_in").is_some() => {
            if value.is_null() {
                body.as_object_mut().map(|object| object.remove("expires_in"));
            } else {
                body["expires_in"] = value.clone();
            }
        }
        Some(FaultKind::Oversized { .. }) => body["padding"] = Value::from("x".repeat(OVERSIZE)),
        _ => {}
    }
    body.to_string()
}

fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Promises the whole body, sends half of it, and fails.
fn cut_inside(content_type: &'static str, body: &str) -> Response<Body> {
    let half = Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]);
    let first = stream::iter([Ok(half)]);
    let second = stream::once(async {
        // The pause lets the connection send the first half before it learns of the failure.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let parts = first.chain(second);
    let mut response = respond(StatusCode::OK, content_type, Body::from_stream(parts));
    response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
    response
}

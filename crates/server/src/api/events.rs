//! `GET /v1/events`: what happens to the tokens, as server-sent events. Never a token.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use futures_util::stream::{Stream, unfold};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zhongkong_coordinator::UnitEvent;

use super::Api;
use super::describe::{About, Answers, Operation};
use super::problem::{Code, Problem};
use super::request::{Nothing, Query};
use crate::event::Event;

/// Listeners at once: each holds a connection for as long as it likes.
pub(super) const LISTENERS_MAX: usize = 64;
/// How often a silent connection says something, so that whoever stands between does not cut it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One listener.
struct Listening {
    events: Receiver<Arc<UnitEvent>>,
    _place: OwnedSemaphorePermit,
}

/// Told to a listener that read too slowly.
#[derive(Debug, Serialize, JsonSchema)]
struct Missed {
    /// `missed`.
    #[serde(rename = "type")]
    what: &'static str,
    /// So many events were lost: read the status again.
    missed: u64,
}

pub(super) const EVENTS: About = About {
    name: "listenToEvents",
    summary: "What happens to the tokens, as it happens",
    details: "Server-sent events from now on, until the caller goes. Each event's name is its `type`, its data one JSON \
              object. `missed` says how many were lost because the caller read too slowly: read the status again. What \
              happens while Redis is away is not seen. A silent stream says something every 15 seconds. Never a token.",
    answer: "A stream without an end; the schema is that of one event.",
    problems: &[(Code::Overloaded, "there are 64 listeners already")],
};

/// `GET /v1/events` (scope read): [`EVENTS`].
pub(super) async fn events(
    State(api): State<Api>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Sse<impl Stream<Item = Result<Frame, Infallible>>>, Problem> {
    let place = Arc::clone(&api.listeners).try_acquire_owned();
    let place = place.map_err(|_| Problem::overloaded("too many listen to events already"))?;
    let listening = Listening { events: api.handle.events(), _place: place };
    let frames = unfold(listening, async |mut listening| {
        let frame = next(&mut listening.events).await?;
        Some((Ok(frame), listening))
    });
    Ok(Sse::new(frames).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Each event of the stream.
impl<S> Answers for Sse<S> {
    fn describe(operation: &mut Operation<'_>) {
        let data = [operation.given::<Event>(), operation.given::<Missed>()];
        let event = json!({
            "type": "object",
            "required": ["event", "data"],
            "properties": {
                "event": { "type": "string", "description": "The `type` of the data" },
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": { "oneOf": data },
                },
            },
        });
        operation.content(StatusCode::OK, "text/event-stream", &event);
    }
}

/// The next event that is news to people; none once there will be no more.
async fn next(events: &mut Receiver<Arc<UnitEvent>>) -> Option<Frame> {
    loop {
        match events.recv().await {
            Ok(happened) => {
                let UnitEvent { what, unit, state, now_ms } = &*happened;
                let frame = Event::new(what, unit, state, *now_ms)
                    .and_then(|event| Frame::default().event(event.what).json_data(&event).ok());
                if frame.is_some() {
                    return frame;
                }
            }
            Err(RecvError::Lagged(missed)) => {
                let data = Missed { what: "missed", missed };
                return Frame::default().event("missed").json_data(&data).ok();
            }
            Err(RecvError::Closed) => return None,
        }
    }
}

/// Places for listeners.
pub(super) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(LISTENERS_MAX))
}

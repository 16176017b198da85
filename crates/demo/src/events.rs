//! What the workers do, as Redis tells everybody who subscribes: narrated, and kept for the scenes.

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::narrate::Narrator;

const CHANNEL: &str = "zhongkong:events";

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) at: Instant,
    pub(crate) what: String,
    pub(crate) worker: String,
    pub(crate) generation: u64,
    fence: String,
    fingerprint: String,
    doubt: String,
    refusal: String,
}

impl Event {
    fn parse(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let word = |pointer: &str| match value.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        Self {
            at: Instant::now(),
            what: word("/type"),
            worker: word("/worker"),
            generation: word("/generation").parse().unwrap_or_default(),
            fence: word("/fence"),
            fingerprint: word("/state/fingerprint"),
            doubt: word("/state/doubt"),
            refusal: word("/state/error_message"),
        }
    }

    /// Whether this doubt is among the reasons in it.
    pub(crate) fn doubts(&self, reason: &str) -> bool {
        self.what == "doubted" && self.doubt.split(',').any(|name| name == reason)
    }

    /// One line about it, for somebody who sees this for the first time.
    fn told(&self) -> String {
        let Self { what, worker, generation, fence, doubt, .. } = self;
        // The microseconds of a fence say enough to tell it from its neighbours.
        let fence = fence.get(fence.len().saturating_sub(7)..).unwrap_or_default();
        let token = short(&self.fingerprint);
        match what.as_str() {
            "claimed" => format!("{worker} claims the refresh (fence …{fence})"),
            "refreshed" if doubt.is_empty() => {
                format!("{worker} publishes token {token} (generation {generation})")
            }
            "refreshed" => format!(
                "{worker} publishes token {token} (generation {generation}), for the time being: \
                 the doubt stays ({doubt})"
            ),
            "adopted" => format!("token {token}, which a service fetched, is everybody's for now"),
            "unchanged" => format!("{worker} got the same token again"),
            "doubted" => format!("doubt: {}", reason(doubt)),
            "refused" => format!("the upstream refuses {worker}: {}", self.refusal),
            "reported" => format!("the upstream rejects token {token}: another is owed"),
            "released" => format!("{worker} gives its claim back; nothing was sent"),
            "forced" => "a refresh is asked for, now".to_owned(),
            "kept" => format!("token {token} is put back where readers look for it"),
            "lost" => "the last token's life is over, and there is no newer one".to_owned(),
            other => format!("{other} ({worker})"),
        }
    }
}

/// What names a token in a line: enough to tell it from others.
pub(crate) fn short(fingerprint: &str) -> &str {
    fingerprint.get(..8).unwrap_or(fingerprint)
}

/// The reasons of a doubt, in words.
fn reason(doubt: &str) -> String {
    let words = doubt.split(',').map(|name| match name {
        "cold_start" => "nothing is known of requests before this start (cold_start)",
        "takeover" => "the worker before never told its outcome (takeover)",
        "foreign" => "somebody else refreshed with the same AppSecret (foreign)",
        "unknown" => "a request was sent, and its outcome is unknown (unknown)",
        "late" => "a token came for a claim that is no longer the last one (late)",
        other => other,
    });
    words.collect::<Vec<_>>().join("; ")
}

/// All events since the start.
#[derive(Debug)]
pub(crate) struct Events {
    seen: watch::Receiver<Vec<Event>>,
    _listener: JoinSet<()>,
}

impl Events {
    pub(crate) async fn listen(redis_url: &str, narrator: Narrator) -> anyhow::Result<Self> {
        let mut pubsub = redis::Client::open(redis_url)?.get_async_pubsub().await?;
        pubsub.subscribe(CHANNEL).await?;
        let (sender, seen) = watch::channel(Vec::new());
        let mut listener = JoinSet::new();
        listener.spawn(async move {
            let mut messages = pubsub.into_on_message();
            while let Some(message) = messages.next().await {
                let event = Event::parse(&message.get_payload::<String>().unwrap_or_default());
                narrator.event(&event.told());
                sender.send_modify(|events| events.push(event));
            }
        });
        Ok(Self { seen, _listener: listener })
    }

    /// How many there were; a mark to wait from.
    pub(crate) fn count(&self) -> usize {
        self.seen.borrow().len()
    }

    /// The first event after the mark that is `wanted`, if it is there already.
    pub(crate) fn seen_after(&self, mark: usize, wanted: impl Fn(&Event) -> bool) -> Option<Event> {
        self.seen.borrow().iter().skip(mark).find(|event| wanted(event)).cloned()
    }

    /// Waits for the first event after the mark that is `wanted`.
    pub(crate) async fn after(
        &self,
        mark: usize,
        what: &str,
        patience: Duration,
        wanted: impl Fn(&Event) -> bool,
    ) -> anyhow::Result<Event> {
        let mut seen = self.seen.clone();
        let new =
            |events: &Vec<Event>| events.iter().skip(mark).find(|event| wanted(event)).cloned();
        let found = timeout(patience, seen.wait_for(|events| new(events).is_some())).await;
        let Ok(found) = found else {
            bail!("waited {patience:?} in vain: {what}");
        };
        let events = found.context("the connection to Redis ended")?;
        Ok(new(&events).expect("it was found"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_in_a_line() {
        let text = r#"{"type":"claimed","worker":"worker-2","fence":"1795380778916543"}"#;
        assert_eq!(Event::parse(text).told(), "worker-2 claims the refresh (fence …8916543)");
        let text = r#"{"type":"refreshed","worker":"worker-2","generation":3,
            "state":{"fingerprint":"0123456789abcdef","doubt":"takeover"}}"#;
        let told = Event::parse(text).told();
        assert!(told.contains("01234567 (generation 3), for the time being"), "{told}");
        assert_eq!(Event::parse("nonsense").told(), " ()");
    }
}

//! What is said on a channel, collected.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use tokio::task::JoinSet;

use crate::server::RedisServer;

/// A channel that is listened to until this is dropped.
#[derive(Debug)]
pub struct Subscription {
    messages: Arc<Mutex<Vec<String>>>,
    _listening: JoinSet<()>,
}

impl Subscription {
    /// All that was said so far, a line each.
    pub fn messages(&self) -> String {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

impl RedisServer {
    /// Listens to `channel` from now on.
    pub async fn subscribe(&self, channel: &str) -> Subscription {
        let client = redis::Client::open(self.url()).unwrap();
        let mut pubsub = client.get_async_pubsub().await.unwrap();
        pubsub.subscribe(channel).await.unwrap();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&messages);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut stream = pubsub.into_on_message();
            while let Some(message) = stream.next().await {
                let text: String = message.get_payload().unwrap_or_default();
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(text);
            }
        });
        Subscription { messages, _listening: listening }
    }
}

//! The one way out: a client that sends one request per claim, once, over a connection of its own (rule R9).

use std::error::Error;
use std::fmt;
#[cfg(feature = "failpoints")]
use std::future::Future;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Proxy, Request};
use url::Url;
use zhongkong_core::clock::{Boot, Clock};

#[cfg(feature = "failpoints")]
use crate::failpoint::{Hook, HookPoint, reach};
use crate::gate::{Barred, GateLayer, PASSAGE, Passage};

/// The longest answer that is read. A token endpoint's has a few hundred bytes.
const BODY_MAX: usize = 1024 * 1024;

/// What every request of this program says of itself.
const USER_AGENT: &str = concat!("zhongkong/", env!("CARGO_PKG_VERSION"));

/// How long the kernel may take to put a request on the wire before [`HookPoint::AfterSend`] is reached.
#[cfg(feature = "failpoints")]
const SENT_AFTER: Duration = Duration::from_millis(50);

/// How the upstreams are reached.
#[derive(Clone)]
pub struct TransportSettings {
    /// The proxy through which everything goes, `http` or `https`; the environment's proxies are never used.
    pub proxy: Option<Url>,
    /// The shortest request timeout of all credentials: so long may connecting take, and so long does the kernel try
    /// to deliver bytes (rule R9).
    pub request_timeout: Duration,
}

/// The client that all credentials share; a clone is the same client.
#[derive(Clone)]
pub struct Transport {
    client: Client,
    clock: Arc<dyn Clock>,
    connect_timeout: Duration,
    #[cfg(feature = "failpoints")]
    hook: Option<Hook>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The proxy is none that can be used. Its URL may hold a password and is not shown.
    #[error("the proxy must be an http:// or https:// URL with a host")]
    Proxy,
    /// The request timeout is less than a millisecond, which the kernel takes for "no timeout".
    #[error("the request timeout must be at least 1ms")]
    Timeout,
    /// The client could not be built: most likely, the machine has no certificate authorities.
    #[error("the HTTP client could not be built: {0}")]
    Client(String),
}

/// What became of one request.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// Nothing left this worker.
    NotSent { why: String },
    /// It may or may not have arrived.
    Lost { why: String },
    /// It was answered, whatever that says.
    Answered { status: u16, body: Vec<u8>, sent_at: Boot },
}

/// Why there is no answer.
enum Failure {
    Client(reqwest::Error),
    TooLong,
    TimedOut,
}

type Answer = Result<(u16, Vec<u8>), Failure>;

impl Transport {
    /// Builds the client.
    pub fn new(
        settings: &TransportSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TransportError> {
        let TransportSettings { proxy, request_timeout } = settings;
        if request_timeout.as_millis() == 0 {
            return Err(TransportError::Timeout);
        }
        // An error means that there is one already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .connect_timeout(*request_timeout)
            .tcp_user_timeout(*request_timeout)
            .connector_layer(GateLayer);
        if let Some(proxy) = proxy {
            if !matches!(proxy.scheme(), "http" | "https") || !proxy.has_host() {
                return Err(TransportError::Proxy);
            }
            builder =
                builder.proxy(Proxy::all(proxy.clone()).map_err(|_error| TransportError::Proxy)?);
        }
        let client = builder.build().map_err(|error| TransportError::Client(root(&error)))?;
        Ok(Self {
            client,
            clock,
            connect_timeout: *request_timeout,
            #[cfg(feature = "failpoints")]
            hook: None,
        })
    }

    /// The same client, which calls `hook` at each point of a fetch.
    #[cfg(feature = "failpoints")]
    #[must_use]
    pub fn with_hook(self, hook: Hook) -> Self {
        Self { hook: Some(hook), ..self }
    }

    /// Sends `request` no later than `send_by`, and waits for its answer until `timeout` after that.
    ///
    /// # Cancel safety
    /// A dropped call may have sent: its outcome is unknown.
    pub(crate) async fn send(
        &self,
        request: Request,
        send_by: Boot,
        timeout: Duration,
    ) -> Exchange {
        let now = self.clock.now();
        if now > send_by {
            return not_sent(Barred::DeadlinePassed);
        }
        let passage = Passage::new(send_by, Arc::clone(&self.clock));
        #[cfg(feature = "failpoints")]
        let passage = passage.with_hook(self.hook.clone());
        let passage = Arc::new(passage);
        let exchange = PASSAGE.scope(Arc::clone(&passage), exchange(&self.client, request));
        tokio::pin!(exchange);

        // In this order: an answer, or a connection that is up, counts even if its time runs out at this instant.
        let early = tokio::select! {
            biased;
            answer = &mut exchange => Some(answer),
            () = passage.handed_over() => None,
            () = overdue(&passage, send_by.since(now)) => return not_sent(Barred::DeadlinePassed),
        };
        #[cfg(feature = "failpoints")]
        let early = self.after_send(&passage, early, &mut exchange).await;
        let answer = match (early, passage.sent_at()) {
            (Some(answer), _) => answer,
            (None, sent_at) => {
                let since = self.clock.now().since(sent_at.unwrap_or(now));
                tokio::time::timeout(timeout.saturating_sub(since), &mut exchange)
                    .await
                    .unwrap_or(Err(Failure::TimedOut))
            }
        };
        #[cfg(feature = "failpoints")]
        if answer.is_ok() {
            reach(self.hook.as_ref(), HookPoint::AfterAnswer).await;
        }
        self.conclude(answer, passage.sent_at(), timeout)
    }

    /// Sends `request` at once, for a call that is no fetch: connecting and the answer each take at most `timeout`.
    pub(crate) async fn send_now(&self, request: Request, timeout: Duration) -> Exchange {
        let send_by = self.clock.now() + timeout;
        let transport = self.without_hook();
        transport.send(request, send_by, timeout).await
    }

    #[cfg(feature = "failpoints")]
    fn without_hook(&self) -> Self {
        Self { hook: None, ..self.clone() }
    }

    #[cfg(not(feature = "failpoints"))]
    fn without_hook(&self) -> Self {
        self.clone()
    }

    fn conclude(&self, answer: Answer, sent_at: Option<Boot>, timeout: Duration) -> Exchange {
        let Some(sent_at) = sent_at else {
            return match answer {
                Err(Failure::Client(error)) => self.not_connected(&error),
                // An answer to nothing: it cannot be, so nothing is concluded from it.
                _ => Exchange::Lost { why: "an answer without a request".to_owned() },
            };
        };
        let duration = self.clock.now().since(sent_at);
        metrics::histogram!("zhongkong_upstream_request_duration_seconds").record(duration);
        let why = match answer {
            Ok((status, body)) => return Exchange::Answered { status, body, sent_at },
            Err(Failure::Client(error)) => format!("the connection broke off: {}", root(&error)),
            Err(Failure::TooLong) => format!("an answer of more than {BODY_MAX} bytes"),
            Err(Failure::TimedOut) => format!("no answer within {timeout:?}"),
        };
        Exchange::Lost { why }
    }

    fn not_connected(&self, error: &reqwest::Error) -> Exchange {
        if let Some(barred) = find::<Barred>(error) {
            return not_sent(*barred);
        }
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        let why = if find::<io::Error>(error).is_some_and(refused) {
            "connection refused".to_owned()
        } else if error.is_timeout() {
            format!("no connection within {:?}", self.connect_timeout)
        } else if error.is_dns() {
            "the upstream's name cannot be resolved".to_owned()
        } else {
            format!("no connection: {}", root(error))
        };
        Exchange::NotSent { why }
    }

    /// Lets the request out, waits a moment, and says that it was sent, even if it was answered meanwhile.
    #[cfg(feature = "failpoints")]
    async fn after_send(
        &self,
        passage: &Passage,
        early: Option<Answer>,
        exchange: &mut (impl Future<Output = Answer> + Unpin),
    ) -> Option<Answer> {
        if self.hook.is_none() || passage.sent_at().is_none() {
            return early;
        }
        let early = match early {
            Some(answer) => Some(answer),
            None => tokio::time::timeout(SENT_AFTER, exchange).await.ok(),
        };
        reach(self.hook.as_ref(), HookPoint::AfterSend).await;
        early
    }
}

impl fmt::Debug for TransportSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's URL may hold a password.
        f.debug_struct("TransportSettings")
            .field("proxy", &self.proxy.as_ref().map(|url| url.origin().ascii_serialization()))
            .field("request_timeout", &self.request_timeout)
            .finish()
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        // The URL holds the secret, and an error shows it.
        Self::Client(error.without_url())
    }
}

async fn exchange(client: &Client, request: Request) -> Answer {
    let mut response = client.execute(request).await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > BODY_MAX {
            return Err(Failure::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status().as_u16(), body))
}

/// Ends when the time to connect is up, unless the deadline was passed in time and only the hand-over is left.
async fn overdue(passage: &Passage, left: Duration) {
    tokio::time::sleep(left).await;
    if passage.sent_at().is_some() {
        pending::<()>().await;
    }
}

fn not_sent(barred: Barred) -> Exchange {
    Exchange::NotSent { why: barred.to_string() }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(<dyn Error>::downcast_ref)
}

/// The words of the first cause: those above it repeat what the caller says already.
fn root(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use reqwest::Method;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[derive(Debug)]
    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Boot {
            Boot::default()
        }
    }

    #[tokio::test]
    async fn the_client_connects_to_nothing_without_a_claim() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let timeout = Duration::from_secs(1);
        let settings = TransportSettings { proxy: None, request_timeout: timeout };
        let transport = Transport::new(&settings, Arc::new(Stopped)).unwrap();
        let answer = exchange(&transport.client, Request::new(Method::GET, url)).await;
        let Err(Failure::Client(error)) = answer else { panic!("an answer") };
        assert_eq!(find::<Barred>(&error), Some(&Barred::NoPassage));
        let exchange = transport.conclude(Err(Failure::Client(error)), None, timeout);
        assert!(matches!(exchange, Exchange::NotSent { .. }), "{exchange:?}");
        // Connections are accepted in the order in which they were made.
        let first = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1, first.local_addr().unwrap());
    }
}

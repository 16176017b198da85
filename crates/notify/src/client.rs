//! Sends one request to a receiver, and reads its answer.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, Proxy};
use url::Url;
use zhongkong_core::codes::Text;

use crate::message::Message;
use crate::receiver::{Again, Answer, Receiver, Refused, Request};

/// The longest time for one message, from the connection to the end of its answer.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest piece of an answer that is read: the robots' have a hundred bytes.
const BODY_MAX: usize = 64 * 1024;

/// What every request of this program says of itself.
const USER_AGENT: &str = concat!("zhongkong/", env!("CARGO_PKG_VERSION"));

/// The way to one receiver; it follows no redirect, and repeats nothing.
#[derive(Clone)]
pub struct Client(reqwest::Client);

/// Why there is no client; never with the proxy's address, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoClient(String);

impl fmt::Display for NoClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the HTTP client could not be built: {}", self.0)
    }
}

impl Error for NoClient {}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client that goes through `proxy`, if there is one, and through no other.
    pub fn new(proxy: Option<&Url>) -> Result<Self, NoClient> {
        // An error means that there is one already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .timeout(TIMEOUT);
        if let Some(proxy) = proxy {
            let proxy = Proxy::all(proxy.clone()).map_err(|_| NoClient("the proxy".to_owned()))?;
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(|error| NoClient(root(&error.without_url())))?;
        Ok(Self(client))
    }

    /// Sends `message` to `receiver` once, signed at `now_ms` since 1970. Gives what came back, for people.
    pub async fn send(
        &self,
        receiver: &Receiver,
        message: &Message,
        now_ms: u64,
    ) -> Result<String, Refused> {
        let request = receiver.request(message, now_ms)?;
        match self.exchange(request).await {
            Ok(answer) => receiver.read(&answer),
            Err(error) => Err(unanswered(&error)),
        }
    }

    async fn exchange(&self, request: Request) -> Result<Answer, reqwest::Error> {
        let Request { url, headers, body } = request;
        let mut request = self.0.request(Method::POST, url);
        request = request.header(CONTENT_TYPE, "application/json; charset=utf-8");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let sent = async {
            let mut response = request.body(body).send().await?;
            let retry_after = response.headers().get(RETRY_AFTER);
            let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                let room = BODY_MAX.saturating_sub(body.len()).min(chunk.len());
                body.extend_from_slice(chunk.get(..room).unwrap_or_default());
                if room < chunk.len() {
                    break;
                }
            }
            let status = response.status().as_u16();
            Ok::<_, reqwest::Error>(Answer {
                status,
                retry_after: retry_after.map(Duration::from_secs),
                body,
            })
        };
        // The URL holds the key, and an error shows it.
        sent.await.map_err(reqwest::Error::without_url)
    }
}

/// No answer: what that is called, and what to do.
fn unanswered(error: &reqwest::Error) -> Refused {
    let why = if error.is_timeout() {
        format!("no answer within {TIMEOUT:?}")
    } else if error.is_connect() {
        format!("no connection: {}", root(error))
    } else {
        format!("the connection broke off: {}", root(error))
    };
    Refused { why, advice: UNREACHABLE, again: Again::Soon }
}

const UNREACHABLE: Text = Text {
    en: "check the name, the firewall and the receiver's proxy",
    zh: "请检查域名、防火墙与该接收方的 proxy",
};

/// The words of the first cause: those above it repeat what is said already.
fn root(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

//! An account, a clock and a transport to fetch with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;
use zhongkong_core::clock::{Boot, Clock};
use zhongkong_core::ports::{Fetched, Upstream};
use zhongkong_upstream::{Account, Provider, Secret, Transport, TransportSettings, WeChat};

/// A secret of which no character passes a URL unchanged by luck.
pub(crate) const SECRET: &str = "S3cr et+/=&%\"中";

/// Longer than any answer of a server on this machine takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Short enough to wait for.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

/// A clock that goes on with tokio's, and may jump once, after it was asked for the first time.
#[derive(Debug)]
pub(crate) struct TestClock {
    start: Instant,
    jump: Duration,
    asked: AtomicBool,
}

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Self::jumping(Duration::ZERO)
    }

    pub(crate) fn jumping(jump: Duration) -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), jump, asked: AtomicBool::new(false) })
    }

    /// The instant so long after the clock was made, whatever jumps happened.
    pub(crate) fn at(after_start: Duration) -> Boot {
        Boot::new(Duration::from_hours(1)) + after_start
    }
}

impl Clock for TestClock {
    fn now(&self) -> Boot {
        let jump = if self.asked.swap(true, Ordering::SeqCst) { self.jump } else { Duration::ZERO };
        Self::at(self.start.elapsed() + jump)
    }
}

pub(crate) fn settings() -> TransportSettings {
    TransportSettings { proxy: None, request_timeout: LONG }
}

pub(crate) fn transport() -> Transport {
    Transport::new(&settings(), TestClock::new()).unwrap()
}

pub(crate) fn account(provider: Provider, base_url: Url) -> Account {
    let secret = Secret::fixed(SECRET).unwrap();
    Account { provider, app_id: "wx0123456789abcdef".to_owned(), base_url, secret }
}

pub(crate) fn wechat(base_url: Url, transport: Transport) -> WeChat {
    WeChat::new(account(Provider::WeChat, base_url), transport)
}

/// One fetch that has time enough to be sent.
pub(crate) async fn fetch(base_url: Url, timeout: Duration) -> Fetched {
    wechat(base_url, transport()).fetch(TestClock::at(LONG), timeout, false).await
}

/// The text is about what is expected, and has no secret.
#[track_caller]
pub(crate) fn check_text(text: &str, expected: &str) {
    assert!(text.contains(expected), "{text:?} has no {expected:?}");
    for secret in ["S3cr", "et+", "secret=", "grant_type="] {
        assert!(!text.contains(secret), "{text:?} has {secret:?}");
    }
}

#[track_caller]
pub(crate) fn check_unknown(fetched: &Fetched, expected: &str) {
    let Fetched::Unknown { why, .. } = fetched else { panic!("not unknown: {fetched:?}") };
    check_text(why, expected);
}

#[track_caller]
pub(crate) fn check_not_sent(fetched: &Fetched, expected: &str) {
    let Fetched::NotSent { why } = fetched else { panic!("sent: {fetched:?}") };
    check_text(why, expected);
}

/// Exactly one request arrived, over one connection.
#[track_caller]
pub(crate) fn check_one_request(received: &[String]) {
    let requests: usize = received.iter().map(|bytes| bytes.matches("/cgi-bin/").count()).sum();
    assert_eq!((received.len(), requests), (1, 1), "{received:?}");
}

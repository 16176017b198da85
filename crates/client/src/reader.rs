//! The handle of one unit: the token to use now, and what to do when it is rejected.

use std::sync::Arc;
use std::time::Duration;

use zhongkong_core::credential::Unit;

use crate::client::Client;
use crate::clock;
use crate::copy::{Copy, Current};
use crate::error::{NoToken, ReportError, Why};
use crate::follow::is_broken;
use crate::link::describe;
use crate::token::Token;

/// About so many reports are kept in Redis.
const REPORTS_MAX: u32 = 10_000;
/// [`Reader::rejected`] reports the same token once in so long, however often it is called.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// The longest wait of [`Reader::rejected`].
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// Watches one unit. Cloning it copies two pointers.
#[derive(Clone, Debug)]
pub struct Reader {
    client: Client,
    copy: Arc<Copy>,
}

impl Reader {
    pub(crate) const fn new(client: Client, copy: Arc<Copy>) -> Self {
        Self { client, copy }
    }

    /// The unit.
    pub fn unit(&self) -> &Unit {
        &self.copy.unit
    }

    /// The token to use now: an atomic load and a look at the clock, no waiting.
    ///
    /// What it returns was confirmed within the bound (10 s), and its life is not over; else there is an error that says so.
    pub fn current(&self) -> Result<Current, NoToken> {
        self.copy.current()
    }

    /// Waits until there is a token, at most for `within`: for the start of a service.
    pub async fn ready(&self, within: Duration) -> Result<Current, NoToken> {
        let found = self.copy.wait_for(|| self.current().ok());
        tokio::time::timeout(within, found).await.or_else(|_| self.current())
    }

    /// The upstream rejected `token` (40001, 40014, 42001): what to use instead.
    ///
    /// If Redis has another token by now, that one. Else the token is reported, and a newer one is awaited,
    /// for `wait` in all, at most [`WAIT_MAX`]. Repeat the rejected call once with what this returns.
    /// Any number of calls at the same time read once and report once.
    pub async fn rejected(&self, token: &Token, wait: Duration) -> Result<Current, ReportError> {
        let wait = wait.min(WAIT_MAX);
        let helped = tokio::time::timeout(wait, async {
            if let Some(other) = self.other_than(token) {
                return Ok(other);
            }
            if self.still_in_redis(token).await? {
                self.report_once(token).await?;
            }
            Ok(self.copy.wait_for(|| self.other_than(token)).await)
        });
        helped.await.unwrap_or(Err(ReportError::NoneNewer))
    }

    /// Tells the workers that the upstream rejected `token`. Only its fingerprint is written.
    ///
    /// Each call writes; [`Self::rejected`] is the careful way.
    pub async fn report(&self, token: &Token) -> Result<(), ReportError> {
        let shared = self.client.shared();
        let mut connection = shared.connection().map_err(ReportError::Unavailable)?;
        let mut add = redis::cmd("XADD");
        add.arg(format!("{}:reports", shared.prefix));
        add.arg("MAXLEN").arg("~").arg(REPORTS_MAX).arg("*");
        add.arg("id").arg(self.copy.unit.id.as_str());
        add.arg("kind").arg(self.copy.unit.kind.as_str());
        add.arg("fingerprint").arg(token.fingerprint().as_str());
        add.exec_async(&mut connection).await.map_err(|error| {
            let why = Why::new(&describe(&error));
            if is_broken(&error) {
                ReportError::Unavailable(why)
            } else {
                ReportError::Refused(why)
            }
        })
    }

    async fn report_once(&self, token: &Token) -> Result<(), ReportError> {
        // Held while it is written: who comes second finds it written.
        let mut reported = self.copy.reported.lock().await;
        let now = clock::now();
        let recent = reported.as_ref().is_some_and(|(fingerprint, at)| {
            fingerprint == token.fingerprint() && now.since(*at) < REPORT_EVERY
        });
        if !recent {
            self.report(token).await?;
            *reported = Some((token.fingerprint().clone(), now));
        }
        Ok(())
    }

    /// Reads once more; false if `token` is not what Redis holds.
    async fn still_in_redis(&self, token: &Token) -> Result<bool, ReportError> {
        let shared = self.client.shared();
        let asked = clock::now();
        self.copy.want();
        shared.wake.notify_one();
        let read = || self.copy.was_read_since(asked).then_some(());
        let answer = tokio::time::timeout(shared.pace.answer_within, self.copy.wait_for(read));
        if answer.await.is_err() {
            let why = shared.connection().err().unwrap_or_else(|| Why::new("no answer in time"));
            return Err(ReportError::Unavailable(why));
        }
        Ok(self.current().is_ok_and(|current| *current == *token))
    }

    fn other_than(&self, token: &Token) -> Option<Current> {
        self.current().ok().filter(|current| **current != *token)
    }
}

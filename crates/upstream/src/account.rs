//! One account at its upstream: the port that the rest of the program sees.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Request;
use secrecy::ExposeSecret;
use sha2::Sha256;
use url::Url;
use zhongkong_core::clock::Boot;
use zhongkong_core::credential::Kind;
use zhongkong_core::ports::{Fetched, Tickets, Upstream};
use zhongkong_core::report::Probed;
use zhongkong_core::token::Token;

use crate::provider::Provider;
use crate::quota::{self, ClearQuotaError};
use crate::scrub::Scrub;
use crate::secret::Secret;
use crate::transport::{Exchange, Transport};
use crate::{answer, probe, ticket, wechat, wechat_stable};

/// Hex digits of a configuration's hash: enough to tell configurations apart, too few to learn from.
const CONFIGURATION_DIGITS: usize = 12;

/// An account at an upstream.
pub struct Account {
    /// Which upstream.
    pub provider: Provider,
    /// The account's name there.
    pub app_id: String,
    /// Where the upstream is reached.
    pub base_url: Url,
    /// The account's secret.
    pub secret: Secret,
}

/// The tokens of one account at WeChat.
#[derive(Debug)]
pub struct WeChat {
    account: Account,
    transport: Transport,
}

impl WeChat {
    /// The upstream of `account`, reached through `transport`.
    pub fn new(account: Account, transport: Transport) -> Self {
        Self { account, transport }
    }

    /// Sets the account's daily quotas of all calls to zero used. WeChat allows this ten times a month.
    pub async fn clear_quota(&self, timeout: Duration) -> Result<(), ClearQuotaError> {
        let Account { app_id, base_url, secret, .. } = &self.account;
        let secret = secret.current();
        let scrub = Scrub::new(&secret);
        let request = quota::request(base_url, app_id, &secret);
        match self.transport.send_now(request, timeout).await {
            Exchange::NotSent { why } => Err(ClearQuotaError::NotSent(scrub.text(&why))),
            Exchange::Lost { why } => Err(ClearQuotaError::Unknown(scrub.text(&why))),
            Exchange::Answered { status, body, .. } => answer::cleared(status, &body, &scrub),
        }
    }
}

impl WeChat {
    /// Sends the one request of a claim, and reads what comes back for `field`.
    async fn exchange(
        &self,
        request: Request,
        field: &str,
        scrub: &Scrub,
        send_by: Boot,
        timeout: Duration,
    ) -> Fetched {
        match self.transport.send(request, send_by, timeout).await {
            Exchange::NotSent { why } => Fetched::NotSent { why: scrub.text(&why) },
            Exchange::Lost { why } => Fetched::Unknown { why: scrub.text(&why), code: None },
            Exchange::Answered { status, body, sent_at } => {
                answer::read(status, &body, field, sent_at, scrub)
            }
        }
    }
}

#[async_trait]
impl Tickets for WeChat {
    async fn fetch_ticket(
        &self,
        kind: Kind,
        access_token: &Token,
        send_by: Boot,
        timeout: Duration,
    ) -> Fetched {
        let Some(ticket_type) = kind.ticket() else {
            return Fetched::NotSent { why: format!("{kind} is no ticket") };
        };
        let request = ticket::request(&self.account.base_url, access_token, ticket_type);
        let scrub = Scrub::new(&access_token.expose().into());
        self.exchange(request, answer::TICKET, &scrub, send_by, timeout).await
    }
}

#[async_trait]
impl Upstream for WeChat {
    fn configuration(&self) -> String {
        self.account.configuration()
    }

    async fn reread_secret(&self) -> bool {
        self.account.secret.reread().await
    }

    async fn fetch(&self, send_by: Boot, timeout: Duration, invalidate: bool) -> Fetched {
        let Account { provider, app_id, base_url, secret } = &self.account;
        let secret = secret.current();
        let request = match provider {
            Provider::WeChat => wechat::request(base_url, app_id, &secret),
            Provider::WeChatStable => wechat_stable::request(base_url, app_id, &secret, invalidate),
        };
        let scrub = Scrub::new(&secret);
        self.exchange(request, answer::ACCESS_TOKEN, &scrub, send_by, timeout).await
    }

    fn has_probe(&self) -> bool {
        true
    }

    async fn probe(&self, token: &Token, timeout: Duration) -> Probed {
        let request = probe::request(&self.account.base_url, token);
        match self.transport.send_now(request, timeout).await {
            Exchange::Answered { status, body, .. } => answer::probed(status, &body),
            Exchange::NotSent { .. } | Exchange::Lost { .. } => Probed::CannotTell,
        }
    }
}

impl Account {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn configuration(&self) -> String {
        let secret = self.secret.current();
        let mut hash = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
            .expect("HMAC takes keys of any length");
        for part in [self.provider.name(), &self.app_id, self.base_url.as_str()] {
            // With its length before it, no part can pass for the end of another.
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut digits = hex::encode(hash.finalize().into_bytes());
        digits.truncate(CONFIGURATION_DIGITS);
        digits
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The base URL may hold a gateway's password.
        f.debug_struct("Account")
            .field("provider", &self.provider)
            .field("app_id", &self.app_id)
            .field("base_url", &self.base_url.origin().ascii_serialization())
            .field("secret", &self.secret)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(provider: Provider, app_id: &str, base_url: &str, secret: &str) -> Account {
        Account {
            provider,
            app_id: app_id.to_owned(),
            base_url: Url::parse(base_url).unwrap(),
            secret: Secret::fixed(secret).unwrap(),
        }
    }

    #[test]
    fn every_part_of_a_configuration_changes_its_hash() {
        let hash = |provider, app_id, base_url, secret| {
            account(provider, app_id, base_url, secret).configuration()
        };
        let hashes = [
            hash(Provider::WeChat, "wx1", "http://a", "s"),
            hash(Provider::WeChatStable, "wx1", "http://a", "s"),
            hash(Provider::WeChat, "wx2", "http://a", "s"),
            hash(Provider::WeChat, "wx1", "http://b", "s"),
            hash(Provider::WeChat, "wx1", "http://a", "t"),
        ];
        for (index, one) in hashes.iter().enumerate() {
            assert!(one.len() == 12 && one.bytes().all(|b| b.is_ascii_hexdigit()), "{one}");
            assert!(!hashes[..index].contains(one), "{hashes:?}");
        }
        assert_eq!(hashes[0], hash(Provider::WeChat, "wx1", "http://a", "s"));
    }

    #[test]
    fn debug_output_has_no_secret_and_no_password() {
        let account = account(Provider::WeChat, "wx1", "https://u:passw0rd@h/", "s3cret");
        let shown = format!("{account:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("passw0rd"), "{shown}");
        assert!(shown.contains("https://h"), "{shown}");
    }
}

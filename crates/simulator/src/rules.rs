//! One call judged against an account: the upstream's rules without sockets, clocks or faults.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::account::{AccountChange, AccountState, UnknownAccount};
use crate::book::{Book, Pool, Token};
use crate::clock::{Moment, millis};
use crate::message::{errmsg, not_in_whitelist, rid};
use crate::pool::{Fetched, Lifetimes};
use crate::settings::{Account, Condition, Settings};

/// What a call asks of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `/cgi-bin/token`.
    Legacy,
    /// `/cgi-bin/stable_token`.
    Stable,
    /// A token fetched by another party, which no caller over HTTP saw.
    Foreign,
    /// `/cgi-bin/get_api_domain_ip`.
    Probe,
    /// `/cgi-bin/ticket/getticket`.
    Ticket,
    /// `/cgi-bin/clear_quota/v2`.
    ClearQuota,
}

impl Endpoint {
    /// Whether a caller asks for a token here.
    pub fn is_token(self) -> bool {
        matches!(self, Self::Legacy | Self::Stable)
    }
}

/// A call's parameters. It has no `Debug`, because it carries the secret.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) endpoint: Endpoint,
    pub(crate) app_id: String,
    pub(crate) secret: String,
    pub(crate) grant_type: String,
    pub(crate) force: bool,
    pub(crate) access_token: String,
    pub(crate) ticket_type: String,
    /// An error of form that no account has to be looked up for.
    pub(crate) malformed: Option<i32>,
}

/// What the upstream decides about a call.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Token { fetched: Fetched, value: String, expires_in: u64 },
    Ticket { fetched: Fetched, value: String, expires_in: u64 },
    Done(Value),
    Refused { errcode: i32, errmsg: String },
}

/// All accounts and all tokens.
pub(crate) struct Upstream {
    settings: Settings,
    times: Lifetimes,
    accounts: HashMap<String, AccountState>,
    book: Book,
}

impl Upstream {
    pub(crate) fn new(settings: Settings, nonce: [u8; 16]) -> Self {
        let times = Lifetimes {
            life: millis(settings.life),
            overlap: millis(settings.overlap),
            forced_overlap: millis(settings.forced_overlap),
            newest_two_only: settings.newest_two_only,
        };
        let book = Book::new(nonce, settings.token_length);
        let mut upstream = Self { settings, times, accounts: HashMap::new(), book };
        for account in upstream.settings.accounts.clone() {
            upstream.add(account);
        }
        upstream
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn add(&mut self, account: Account) {
        let state = AccountState {
            secret: Some(account.secret),
            whitelist: account.whitelist,
            whitelist_message: self.settings.whitelist_message,
            ..AccountState::default()
        };
        self.accounts.insert(account.app_id, state);
    }

    pub(crate) fn find_token(&self, value: &str) -> Option<&Token> {
        self.book.find(value)
    }

    pub(crate) fn newest(&self, app_id: &str) -> Option<&Token> {
        self.accounts.get(app_id)?.newest.and_then(|serial| self.book.get(serial))
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.book.iter()
    }

    /// Makes a token invalid. The stable pool goes on handing it out unless it is forgotten.
    pub(crate) fn revoke(&mut self, value: &str, forget: bool, now: Moment) -> bool {
        let Some(token) = self.book.find(value) else { return false };
        let (serial, app_id) = (token.serial, token.app_id.clone());
        self.book.revoke(serial, now.ms);
        if forget && let Some(account) = self.accounts.get_mut(&app_id) {
            account.forget(serial);
        }
        true
    }

    pub(crate) fn change(
        &mut self,
        app_id: &str,
        change: AccountChange,
    ) -> Result<(), UnknownAccount> {
        if !self.accounts.contains_key(app_id)
            && let Some(secret) = &change.secret
        {
            self.add(Account::new(app_id, secret));
        }
        self.account(app_id)?.apply(change);
        Ok(())
    }

    pub(crate) fn confirm(&mut self, app_id: &str, caller: IpAddr) -> Result<(), UnknownAccount> {
        self.account(app_id)?.risk.confirm(caller);
        Ok(())
    }

    pub(crate) fn refuse(
        &mut self,
        app_id: &str,
        caller: IpAddr,
        now: Moment,
    ) -> Result<(), UnknownAccount> {
        let once = millis(self.settings.refused_once);
        let twice = millis(self.settings.refused_twice);
        self.account(app_id)?.risk.refuse(caller, now.ms, once, twice);
        Ok(())
    }

    /// Another party, in good standing, fetches: the limits are not asked.
    pub(crate) fn foreign(
        &mut self,
        app_id: &str,
        pool: Pool,
        now: Moment,
    ) -> Result<Fetched, UnknownAccount> {
        self.account(app_id)?;
        let Self { accounts, book, times, .. } = self;
        let account = accounts.get_mut(app_id).ok_or(UnknownAccount)?;
        let fetched = match pool {
            Pool::Legacy => account.legacy.fetch(book, app_id, *times, now.ms),
            Pool::Stable => account.stable.force(book, app_id, *times, now.ms),
            Pool::Jsapi => account.jsapi.fetch(book, app_id, pool, *times, now.ms),
            Pool::WxCard => account.wx_card.fetch(book, app_id, pool, *times, now.ms),
        };
        if !pool.is_of_tickets() {
            account.newest = Some(fetched.serial);
        }
        Ok(fetched)
    }

    pub(crate) fn judge(
        &mut self,
        request: &Request,
        caller: IpAddr,
        now: Moment,
        random: u64,
    ) -> Verdict {
        let result = match (request.malformed, request.endpoint) {
            (Some(errcode), _) => Err(errcode),
            (None, Endpoint::Legacy | Endpoint::Stable | Endpoint::Foreign) => {
                self.fetch(request, caller, now)
            }
            (None, Endpoint::Probe) => self.probe(&request.access_token, now).map(|_| {
                Verdict::Done(json!({ "ip_list": ["101.226.103.0/25", "121.51.130.0/24"] }))
            }),
            (None, Endpoint::Ticket) => self.ticket(request, now),
            (None, Endpoint::ClearQuota) => self.clear_quota(request, now),
        };
        result.unwrap_or_else(|errcode| {
            let errmsg = self.errmsg(errcode, &request.app_id, caller, &rid(now, random));
            Verdict::Refused { errcode, errmsg }
        })
    }

    /// The message of a code, as this account and this caller get it.
    pub(crate) fn errmsg(&self, errcode: i32, app_id: &str, caller: IpAddr, rid: &str) -> String {
        if errcode == 40164 {
            let account = self.accounts.get(app_id);
            let form = account
                .map_or(self.settings.whitelist_message, |account| account.whitelist_message);
            not_in_whitelist(form, caller, rid)
        } else {
            errmsg(errcode, rid)
        }
    }

    fn account(&mut self, app_id: &str) -> Result<&mut AccountState, UnknownAccount> {
        if self.settings.open && !app_id.is_empty() && !self.accounts.contains_key(app_id) {
            let state = AccountState {
                whitelist_message: self.settings.whitelist_message,
                ..AccountState::default()
            };
            self.accounts.insert(app_id.to_owned(), state);
        }
        self.accounts.get_mut(app_id).ok_or(UnknownAccount)
    }

    /// Who asks is settled before what is asked, as the real upstream does.
    fn authenticate(&mut self, request: &Request) -> Result<&mut AccountState, i32> {
        if request.app_id.is_empty() {
            return Err(41002);
        }
        if request.secret.is_empty() {
            return Err(41004);
        }
        let account = self.account(&request.app_id).map_err(|UnknownAccount| 40013)?;
        if account.secret.as_ref().is_some_and(|secret| *secret != request.secret) {
            return Err(40125);
        }
        Ok(account)
    }

    fn fetch(&mut self, request: &Request, caller: IpAddr, now: Moment) -> Result<Verdict, i32> {
        if request.grant_type != "client_credential" {
            return Err(40002);
        }
        let account = self.authenticate(request)?;
        if account.frozen {
            return Err(40243);
        }
        match account.condition {
            Condition::Active => {}
            Condition::Limited => return Err(50002),
            Condition::Forbidden => return Err(50004),
            Condition::Frozen => return Err(50007),
        }
        if account.whitelist.as_ref().is_some_and(|allowed| !allowed.contains(&caller)) {
            return Err(40164);
        }
        account.risk.check(caller, now.ms)?;
        let Self { accounts, book, times, settings, .. } = self;
        let account = accounts.get_mut(&request.app_id).ok_or(40013)?;
        let (app_id, times) = (request.app_id.as_str(), *times);
        let fetched = if request.endpoint == Endpoint::Stable {
            account.quotas.stable(settings, now)?;
            if request.force && account.stable.may_force(now.ms, millis(settings.forced_spacing)) {
                account.quotas.forced(settings, now)?;
                account.stable.force(book, app_id, times, now.ms)
            } else {
                account.stable.fetch(book, app_id, times, now.ms)
            }
        } else {
            account.quotas.legacy(settings, now)?;
            account.legacy.fetch(book, app_id, times, now.ms)
        };
        if fetched.minted {
            account.newest = Some(fetched.serial);
        }
        let token = book.get(fetched.serial).ok_or(-1)?;
        let expires_in = token.expires_at_ms.saturating_sub(now.ms) / 1_000;
        Ok(Verdict::Token { fetched, value: token.value.clone(), expires_in })
    }

    fn probe(&self, access_token: &str, now: Moment) -> Result<&Token, i32> {
        if access_token.is_empty() {
            return Err(41001);
        }
        let token = self.book.find(access_token).filter(|token| !token.pool.is_of_tickets());
        let token = token.ok_or(40014)?;
        if token.is_alive(now.ms) {
            Ok(token)
        } else if now.ms >= token.expires_at_ms && token.dies_at_ms == token.expires_at_ms {
            Err(42001)
        } else {
            Err(40001)
        }
    }

    /// The ticket changes once in a token's life, yet `expires_in` never counts down.
    fn ticket(&mut self, request: &Request, now: Moment) -> Result<Verdict, i32> {
        let app_id = self.probe(&request.access_token, now)?.app_id.clone();
        let Self { accounts, book, times, settings, .. } = self;
        let account = accounts.get_mut(&app_id).ok_or(40013)?;
        account.tickets(&request.ticket_type).ok_or(40097)?;
        account.quotas.ticket(settings, now)?;
        let (pool, tickets) = account.tickets(&request.ticket_type).ok_or(40097)?;
        let fetched = tickets.fetch(book, &app_id, pool, *times, now.ms);
        let value = book.get(fetched.serial).ok_or(-1)?.value.clone();
        Ok(Verdict::Ticket { fetched, value, expires_in: times.life / 1_000 })
    }

    fn clear_quota(&mut self, request: &Request, now: Moment) -> Result<Verdict, i32> {
        self.authenticate(request)?;
        let Self { accounts, settings, .. } = self;
        let account = accounts.get_mut(&request.app_id).ok_or(40013)?;
        account.quotas.clear(settings, now)?;
        Ok(Verdict::Done(json!({ "errcode": 0, "errmsg": "ok" })))
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;

//! The rules without sockets, faults and a clock: for a simulation that brings its own network and its own time.

use std::fmt;
use std::net::IpAddr;

use crate::account::{AccountChange, UnknownAccount};
use crate::book::{Pool, Token};
use crate::clock::Moment;
use crate::rules::{Endpoint, Request, Upstream, Verdict};
use crate::settings::Settings;

/// An upstream that answers at once, at the time that it is told.
pub struct Platform {
    upstream: Upstream,
}

/// Who asks for a token, and how.
#[derive(Clone, Copy)]
pub struct Fetch<'a> {
    /// The account.
    pub app_id: &'a str,
    /// What the caller believes to be its secret.
    pub secret: &'a str,
    /// Which supply of tokens is asked.
    pub pool: Pool,
    /// The stable pool is to replace its token at once.
    pub force: bool,
    /// The caller's address.
    pub caller: IpAddr,
}

/// What the upstream answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A token.
    Token {
        /// It, and its record.
        token: Token,
        /// The seconds of life that the answer names.
        expires_in: u64,
        /// This call brought it into being.
        minted: bool,
    },
    /// An error code, and its message.
    Refused {
        /// The code.
        errcode: i32,
        /// The message.
        errmsg: String,
    },
}

impl Platform {
    /// An upstream with these rules. What its tokens look like follows from `seed` alone.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&seed.to_be_bytes());
        Self { upstream: Upstream::new(settings, nonce) }
    }

    /// Processes a call at `unix_ms`.
    pub fn fetch(&mut self, fetch: Fetch<'_>, unix_ms: u64) -> Answer {
        let Fetch { app_id, secret, pool, force, caller } = fetch;
        let endpoint = match pool {
            Pool::Legacy => Endpoint::Legacy,
            Pool::Stable => Endpoint::Stable,
            Pool::Jsapi | Pool::WxCard => Endpoint::Ticket,
        };
        let request = Request {
            endpoint,
            app_id: app_id.to_owned(),
            secret: secret.to_owned(),
            grant_type: "client_credential".to_owned(),
            force,
            access_token: String::new(),
            ticket_type: String::new(),
            malformed: None,
        };
        match self.upstream.judge(&request, caller, at(unix_ms), 0) {
            Verdict::Token { fetched, value, expires_in } => match self.token(&value) {
                Some(token) => {
                    Answer::Token { token: token.clone(), expires_in, minted: fetched.minted }
                }
                None => busy(),
            },
            Verdict::Refused { errcode, errmsg } => Answer::Refused { errcode, errmsg },
            Verdict::Ticket { .. } | Verdict::Done(_) => busy(),
        }
    }

    /// Another party fetches a token at `unix_ms`.
    pub fn foreign(
        &mut self,
        app_id: &str,
        pool: Pool,
        unix_ms: u64,
    ) -> Result<(), UnknownAccount> {
        self.upstream.foreign(app_id, pool, at(unix_ms)).map(drop)
    }

    /// An account is changed by its owner.
    pub fn change(&mut self, app_id: &str, change: AccountChange) -> Result<(), UnknownAccount> {
        self.upstream.change(app_id, change)
    }

    /// The record of a token.
    pub fn token(&self, value: &str) -> Option<&Token> {
        self.upstream.find_token(value)
    }

    /// Every token that was issued.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.upstream.tokens()
    }

    /// The newest token of an account.
    pub fn newest(&self, app_id: &str) -> Option<&Token> {
        self.upstream.newest(app_id)
    }
}

/// What the upstream says when it is busy.
fn busy() -> Answer {
    Answer::Refused { errcode: -1, errmsg: crate::message::errmsg(-1, "") }
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Platform")
    }
}

impl fmt::Debug for Fetch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { app_id, pool, force, caller, .. } = self;
        f.debug_struct("Fetch")
            .field("app_id", app_id)
            .field("pool", pool)
            .field("force", force)
            .field("caller", caller)
            .finish_non_exhaustive()
    }
}

const fn at(unix_ms: u64) -> Moment {
    Moment { ms: unix_ms, unix_ms }
}

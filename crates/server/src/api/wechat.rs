//! `GET /cgi-bin/token`, `POST /cgi-bin/stable_token` and `GET /cgi-bin/ticket/getticket`: the cluster's tokens and
//! tickets, as WeChat would answer, for services that have an SDK and no way but its address to change. Off unless the
//! configuration has `http.wechat`.
//!
//! What is answered is never another token than readers have, and nothing here calls the upstream's token endpoints.
//! As with WeChat, an error is 200 with `errcode`; what comes before that (hosts, the size of a body) is a problem.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use http::request::Parts;
use schemars::{JsonSchema, Schema};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::{Instant, timeout};
use zhongkong_coordinator::{Selection, UnitView};
use zhongkong_core::clock::millis;
use zhongkong_core::credential::{CredentialId, Kind, Unit};
use zhongkong_core::ports::{Published, Store};
use zhongkong_core::token::Fingerprint;
use zhongkong_upstream::Provider;

use super::Api;
use super::describe::{About, Operation, Takes};
use super::guard::failed_sign_in;
use super::listen::Peer;
use super::problem::{Code, Problem};
use super::request::read;
use crate::config::Config;

/// The longest wait for what a forced refresh comes to: SDKs give up after five seconds.
const FORCED_WAIT: Duration = Duration::from_secs(4);
/// The longest that an answer may be on its way to a service, which counts from when it has it.
const WAY_MS: u64 = 2_000;

const OFF: (Code, &str) = (Code::NotFound, "the configuration has no `http.wechat`");

pub(super) const TOKEN: About = About {
    name: "wechatToken",
    summary: "The token, as WeChat's `cgi-bin/token` answers",
    details: "For SDKs and scripts whose address of WeChat can be set: the cluster's token, however often it is asked for. \
              `secret` is that of the service in the configuration's `http.wechat`, and never an AppSecret.",
    answer: "As WeChat's: the token, or an `errcode`: -1 (no valid token now: try again), 40002, 40013 (no such account, \
             or none for this service), 40125 (a wrong secret), 45011 (too many of them came from this address), 41002, 41004.",
    problems: &[OFF],
};

pub(super) const STABLE_TOKEN: About = About {
    name: "wechatStableToken",
    summary: "The token, as WeChat's `cgi-bin/stable_token` answers",
    details: "Like `cgi-bin/token`. `force_refresh` kills no token: it is a report that the token was rejected, which costs \
              one probe, and a fetch if the upstream does reject it.",
    answer: "As WeChat's: the token, or an `errcode`: those of `cgi-bin/token`, 44002 (no body), 47001 (no such JSON).",
    problems: &[
        OFF,
        (Code::InvalidRequest, "the body is larger than 64 KiB, or broke off"),
        (Code::SlowRequest, "the body did not come within 10 seconds"),
    ],
};

pub(super) const TICKET: About = About {
    name: "wechatTicket",
    summary: "A ticket, as WeChat's `cgi-bin/ticket/getticket` answers",
    details: "For SDKs and scripts whose address of WeChat can be set. The access token, as `cgi-bin/token` answers it, says \
              whose ticket is meant, and that the service may have it.",
    answer: "As WeChat's: the ticket, or an `errcode`: -1 (no valid ticket now: try again), 40001 (not the newest access \
             token: ask for that one first), 40097 (no such type), 41001, 48001 (this worker keeps no such ticket).",
    problems: &[OFF],
};

/// What a service says.
// Has no `Debug`, because it holds a secret.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(transform = all_required)]
pub(super) struct Asked {
    /// `client_credential`.
    grant_type: String,
    /// The `app_id` of a credential.
    appid: String,
    /// The service's secret.
    secret: String,
}

/// What a service says with a body.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "WeChatRequest", transform = all_required)]
pub(super) struct StableAsked {
    #[serde(flatten)]
    asked: Asked,
    /// The token was rejected.
    force_refresh: bool,
}

/// Whoever leaves out a text is told which; for everybody else they are required.
fn all_required(schema: &mut Schema) {
    schema.insert("required".to_owned(), json!(["grant_type", "appid", "secret"]));
    schema.remove("default");
    for property in
        schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
    {
        if let Some(property) = property.1.as_object_mut() {
            property.remove("default");
        }
    }
}

/// The same in an address: what is not there is empty, what is unknown is passed over, as WeChat does.
pub(super) struct InAddress(Asked);

/// The same in a body, of whatever type: its `errcode` if it is not to be understood.
pub(super) struct InBody(Result<StableAsked, Refused>);

/// What a service is answered.
// Has no `Debug`, because it may hold a token.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "WeChatAnswer")]
pub(super) enum Reply {
    Token {
        /// The token to use now.
        access_token: String,
        /// Seconds for which it may be kept.
        #[schemars(range(min = 1))]
        expires_in: u64,
    },
    Refused(Refused),
}

/// What a service says to have a ticket.
// Has no `Debug`, because it holds a token.
#[derive(Default, JsonSchema)]
pub(super) struct TicketAsked {
    /// The newest one of the account.
    access_token: String,
    /// `jsapi` or `wx_card`.
    #[schemars(rename = "type")]
    kind: String,
}

/// What a service is answered that asks for a ticket.
// Has no `Debug`, because it may hold a ticket.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "WeChatTicket")]
pub(super) enum TicketReply {
    Ticket {
        /// 0.
        errcode: i32,
        /// `ok`.
        errmsg: &'static str,
        /// The ticket to use now.
        ticket: String,
        /// Seconds for which it may be kept.
        #[schemars(range(min = 1))]
        expires_in: u64,
    },
    Refused(Refused),
}

/// An error of WeChat's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "WeChatError")]
pub(super) struct Refused {
    errcode: i32,
    errmsg: &'static str,
}

const fn refused(errcode: i32, errmsg: &'static str) -> Refused {
    Refused { errcode, errmsg }
}

const BUSY: Refused = refused(-1, "system error: zhongkong has no valid token now; try again");
const WRONG_GRANT: Refused = refused(40002, "invalid grant_type");
const UNKNOWN_APP: Refused =
    refused(40013, "invalid appid: zhongkong has no such account, or none for this service");
const WRONG_SECRET: Refused =
    refused(40125, "invalid appsecret: it is none of zhongkong's http.wechat");
const TOO_OFTEN: Refused = refused(
    45011,
    "api minute-quota reach limit, must slower, retry next minute: this secret is wrong, as many from this address were",
);
const STALE: Refused = refused(
    40001,
    "invalid credential, access_token is invalid or not latest: ask zhongkong for the newest one first",
);
const NO_SUCH_TYPE: Refused = refused(40097, "invalid args: type is jsapi or wx_card");
const NO_TOKEN: Refused = refused(41001, "access_token missing");
const NOT_KEPT: Refused =
    refused(48001, "api unauthorized: this zhongkong keeps no such ticket of the account");
const NO_APP: Refused = refused(41002, "appid missing");
const NO_SECRET: Refused = refused(41004, "appsecret missing");
const NO_BODY: Refused = refused(44002, "empty post data");
const NO_JSON: Refused = refused(47001, "data format error");

/// Which services may have whose tokens.
#[derive(Debug, Default)]
pub(super) struct Services {
    services: Vec<Service>,
    /// By app id: one for each provider.
    accounts: HashMap<String, Vec<Account>>,
}

#[derive(Debug)]
struct Service {
    name: String,
    /// SHA-256: of one length, so that a comparison says nothing about the secret's.
    hash: [u8; 32],
    /// Somebody could try all of its length.
    guessable: bool,
    /// None: everybody's.
    credentials: Option<HashSet<CredentialId>>,
}

#[derive(Debug)]
struct Account {
    id: CredentialId,
    provider: Provider,
    overlap: Duration,
}

impl Services {
    pub(super) fn new(config: &Config) -> Self {
        if config.services.is_empty() {
            return Self::default();
        }
        let services = config.services.iter().map(|service| Service {
            name: service.name.clone(),
            hash: hash(service.secret.expose_secret()),
            guessable: service.is_guessable(),
            credentials: service.credentials.clone(),
        });
        let mut accounts: HashMap<String, Vec<Account>> = HashMap::new();
        for credential in &config.credentials {
            accounts.entry(credential.app_id.clone()).or_default().push(Account {
                id: credential.id.clone(),
                provider: credential.provider,
                overlap: credential.timing.times().overlap,
            });
        }
        Self { services: services.collect(), accounts }
    }

    /// The service that asks, and the account whose token it may have: of `provider`, if there is one of each.
    fn admit(&self, asked: &Asked, provider: Provider) -> Result<(&Service, &Account), Refused> {
        if asked.grant_type != "client_credential" {
            return Err(WRONG_GRANT);
        }
        if asked.appid.is_empty() {
            return Err(NO_APP);
        }
        if asked.secret.is_empty() {
            return Err(NO_SECRET);
        }
        let accounts = self.accounts.get(&asked.appid).ok_or(UNKNOWN_APP)?;
        let service = self.service(&asked.secret).ok_or(WRONG_SECRET)?;
        let may_have = |account: &&Account| {
            service.credentials.as_ref().is_none_or(|ids| ids.contains(&account.id))
        };
        let same =
            accounts.iter().find(|account| account.provider == provider && may_have(account));
        let account = same.or_else(|| accounts.iter().find(may_have)).ok_or(UNKNOWN_APP)?;
        Ok((service, account))
    }

    /// How long a token of the credential outlives its successor's issue.
    fn overlap_of(&self, id: &CredentialId) -> Option<Duration> {
        let account = self.accounts.values().flatten().find(|account| account.id == *id);
        account.map(|account| account.overlap)
    }

    /// Every secret is compared, so that the time taken says nothing.
    fn service(&self, secret: &str) -> Option<&Service> {
        let given = hash(secret);
        let mut known = None;
        for service in &self.services {
            if bool::from(service.hash.ct_eq(&given)) {
                known = Some(service);
            }
        }
        known
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// `GET /cgi-bin/token`: [`TOKEN`].
pub(super) async fn token(
    State(api): State<Api>,
    peer: Peer,
    InAddress(asked): InAddress,
) -> Result<Json<Reply>, Problem> {
    let asked = StableAsked { asked, force_refresh: false };
    api.answer_as_wechat(peer, Ok(asked), Provider::WeChat).await
}

/// `POST /cgi-bin/stable_token`: [`STABLE_TOKEN`].
pub(super) async fn stable_token(
    State(api): State<Api>,
    peer: Peer,
    InBody(asked): InBody,
) -> Result<Json<Reply>, Problem> {
    api.answer_as_wechat(peer, asked, Provider::WeChatStable).await
}

/// `GET /cgi-bin/ticket/getticket`: [`TICKET`].
pub(super) async fn ticket(
    State(api): State<Api>,
    peer: Peer,
    asked: TicketAsked,
) -> Result<Json<TicketReply>, Problem> {
    let services = Arc::clone(&api.services.borrow());
    if services.services.is_empty() {
        return Err(Problem::not_found());
    }
    let reply = api.ticket_as_wechat(peer, &services, &asked).await;
    Ok(Json(reply.unwrap_or_else(TicketReply::Refused)))
}

impl Api {
    /// A token that is nobody's counts as a sign-in that failed; one that was replaced lately, too, but services that ask
    /// for the newest one first have no second such.
    async fn ticket_as_wechat(
        &self,
        peer: Peer,
        services: &Services,
        asked: &TicketAsked,
    ) -> Result<TicketReply, Refused> {
        let ticket = |kind: &Kind| kind.ticket() == Some(&*asked.kind);
        let kind = Kind::ALL.into_iter().find(ticket).ok_or(NO_SUCH_TYPE)?;
        if asked.access_token.is_empty() {
            return Err(NO_TOKEN);
        }
        let Some(id) = self.owner_of(&asked.access_token).await? else {
            let too_often = failed_sign_in(self, peer, Instant::now()).is_some();
            return Err(if too_often { TOO_OFTEN } else { STALE });
        };
        let overlap = services.overlap_of(&id).ok_or(STALE)?;
        let unit = Unit { id, kind };
        let view = self.view(&unit).await.map_err(|_| NOT_KEPT)?;
        let published = self.published_or_busy(&unit).await?;
        Ok(TicketReply::Ticket {
            errcode: 0,
            errmsg: "ok",
            ticket: published.token.expose().to_owned(),
            expires_in: kept_for(&published, &view, overlap),
        })
    }

    /// Whose newest access token this is. All are looked through: a service asks once in a ticket's life.
    async fn owner_of(&self, token: &str) -> Result<Option<CredentialId>, Refused> {
        let fingerprint = Fingerprint::of(token);
        let is_named = |view: &UnitView| {
            let state = view.state.as_ref().filter(|_| view.unit.kind == Kind::AccessToken);
            state.is_some_and(|state| state.fingerprint.as_ref() == Some(&fingerprint))
        };
        let all = Selection::Following { after: None, credentials: usize::MAX };
        let views = self.handle.views(all).await.map_err(|_| BUSY)?;
        let Some(view) = views.into_iter().find(is_named) else { return Ok(None) };
        // Its fingerprint is in events and in the status: only the token proves something.
        let published = self.published_or_busy(&view.unit).await?;
        let proved = hash(published.token.expose()).ct_eq(&hash(token));
        Ok(bool::from(proved).then_some(view.unit.id))
    }

    async fn answer_as_wechat(
        &self,
        peer: Peer,
        asked: Result<StableAsked, Refused>,
        provider: Provider,
    ) -> Result<Json<Reply>, Problem> {
        let services = Arc::clone(&self.services.borrow());
        if services.services.is_empty() {
            return Err(Problem::not_found());
        }
        let reply = match asked {
            Ok(StableAsked { asked, force_refresh }) => {
                match self.admit_as_wechat(peer, &services, &asked, provider) {
                    Ok((service, account)) => {
                        self.token_as_wechat(service, account, force_refresh).await
                    }
                    Err(refused) => Err(refused),
                }
            }
            Err(refused) => Err(refused),
        };
        Ok(Json(reply.unwrap_or_else(Reply::Refused)))
    }

    /// A wrong secret counts as a sign-in that failed; so does a short one while it might have been guessed.
    fn admit_as_wechat<'a>(
        &self,
        peer: Peer,
        services: &'a Services,
        asked: &Asked,
        provider: Provider,
    ) -> Result<(&'a Service, &'a Account), Refused> {
        let now = Instant::now();
        let admitted = services.admit(asked, provider).and_then(|(service, account)| {
            let barred = service.guessable && self.sign_ins().is_barred(peer.address, now);
            if barred { Err(WRONG_SECRET) } else { Ok((service, account)) }
        });
        admitted.map_err(|refused| match refused {
            WRONG_SECRET if failed_sign_in(self, peer, now).is_some() => TOO_OFTEN,
            refused => refused,
        })
    }

    async fn token_as_wechat(
        &self,
        service: &Service,
        account: &Account,
        force: bool,
    ) -> Result<Reply, Refused> {
        let unit = Unit::access_token(account.id.clone());
        let mut published = self.published_or_busy(&unit).await?;
        if force {
            tracing::info!(
                credential.id = %unit.id, service = service.name,
                "a service asks for force_refresh, which is taken as a report of the token"
            );
            let rejected = Fingerprint::of(published.token.expose());
            let report = self.handle.report(unit.clone(), rejected, FORCED_WAIT);
            // What came of it shows in the token.
            timeout(FORCED_WAIT, report).await.ok();
            published = self.published_or_busy(&unit).await?;
        }
        let view = self.view(&unit).await.map_err(|_| BUSY)?;
        Ok(Reply::Token {
            access_token: published.token.expose().to_owned(),
            expires_in: kept_for(&published, &view, account.overlap),
        })
    }

    async fn published_or_busy(&self, unit: &Unit) -> Result<Published, Refused> {
        let published = self.store.token(unit).await.map_err(|_| BUSY)?;
        published.filter(|published| !published.left.is_zero()).ok_or(BUSY)
    }
}

/// Seconds for which a service may keep the token: to its end, or until its successor is there and it dies of that, if
/// that is sooner. SDKs use a token up to the second that they were told, without asking whether there is a newer one.
fn kept_for(published: &Published, view: &UnitView, overlap: Duration) -> u64 {
    let state = view.state.as_ref().filter(|state| state.generation == published.generation);
    // It may be replaced at once, unless all is as planned.
    let planned = state.filter(|state| state.rejected.is_none() && state.doubt.is_empty());
    let refresh_in = planned.map_or(0, |state| state.refresh_at_ms.saturating_sub(view.now_ms));
    let left = millis(published.left).min(refresh_in.saturating_add(millis(overlap)));
    (left.saturating_sub(WAY_MS) / 1_000).max(1)
}

impl Asked {
    fn in_address(query: &str) -> Self {
        let mut asked = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "grant_type" => &mut asked.grant_type,
                "appid" => &mut asked.appid,
                "secret" => &mut asked.secret,
                _ => continue,
            };
            *field = value.into_owned();
        }
        asked
    }
}

impl StableAsked {
    pub(super) fn in_body(body: &[u8]) -> Result<Self, Refused> {
        if body.is_empty() {
            return Err(NO_BODY);
        }
        // serde would take an array of the fields' values for the object.
        let is_object = body.trim_ascii_start().starts_with(b"{");
        is_object.then(|| serde_json::from_slice(body).ok()).flatten().ok_or(NO_JSON)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Asked::in_address(parts.uri.query().unwrap_or_default())))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TicketAsked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut asked = Self::default();
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "access_token" => asked.access_token = value.into_owned(),
                "type" => asked.kind = value.into_owned(),
                _ => {}
            }
        }
        Ok(asked)
    }
}

impl<S: Send + Sync> FromRequest<S> for InBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Ok(Self(StableAsked::in_body(&read(request, state).await?)))
    }
}

impl Takes for InAddress {
    fn describe(operation: &mut Operation<'_>) {
        operation.parameters::<Asked>("query");
    }
}

impl Takes for TicketAsked {
    fn describe(operation: &mut Operation<'_>) {
        operation.parameters::<Self>("query");
    }
}

impl Takes for InBody {
    fn describe(operation: &mut Operation<'_>) {
        operation.body::<StableAsked>(true);
    }
}

#[cfg(test)]
mod tests {
    use zhongkong_core::state::{Mark, State};
    use zhongkong_core::token::Token;

    use super::*;

    const SECRET: &str = "the-secret-of-the-shop";

    fn services() -> Services {
        let account = |id: &str, provider| Account {
            id: id.parse().unwrap(),
            provider,
            overlap: Duration::from_mins(5),
        };
        let both = [("legacy", Provider::WeChat), ("stable", Provider::WeChatStable)];
        let accounts = [
            ("wx1".to_owned(), both.map(|(id, provider)| account(id, provider)).into()),
            ("wx2".to_owned(), vec![account("two", Provider::WeChatStable)]),
        ];
        let service = |name: &str, secret: &str, ids: Option<&[&str]>| Service {
            name: name.to_owned(),
            hash: hash(secret),
            guessable: false,
            credentials: ids.map(|ids| ids.iter().map(|id| id.parse().unwrap()).collect()),
        };
        Services {
            services: vec![
                service("shop", SECRET, None),
                service("cms", "the-secret-of-the-cms", Some(&["legacy"])),
            ],
            accounts: accounts.into_iter().collect(),
        }
    }

    #[test]
    fn a_service_gets_the_account_of_the_endpoint_and_else_the_one_that_there_is() {
        let asked = |secret: &str, appid: &str| {
            Asked::in_address(&format!(
                "grant_type=client_credential&appid={appid}&secret={secret}&more=1"
            ))
        };
        let services = services();
        for (secret, appid, provider, expected) in [
            (SECRET, "wx1", Provider::WeChat, Ok(("shop", "legacy"))),
            (SECRET, "wx1", Provider::WeChatStable, Ok(("shop", "stable"))),
            (SECRET, "wx2", Provider::WeChat, Ok(("shop", "two"))),
            ("the-secret-of-the-cms", "wx1", Provider::WeChatStable, Ok(("cms", "legacy"))),
            ("the-secret-of-the-cms", "wx2", Provider::WeChat, Err(UNKNOWN_APP)),
            (SECRET, "two", Provider::WeChat, Err(UNKNOWN_APP)),
            (SECRET, "", Provider::WeChat, Err(NO_APP)),
            ("", "wx1", Provider::WeChat, Err(NO_SECRET)),
            ("the-secret-of-the-sho", "wx1", Provider::WeChat, Err(WRONG_SECRET)),
            ("the-secret-of-the-shop2", "wx1", Provider::WeChat, Err(WRONG_SECRET)),
        ] {
            let admitted = services.admit(&asked(secret, appid), provider);
            let admitted = admitted.map(|(service, account)| (&*service.name, account.id.as_str()));
            assert_eq!(admitted, expected, "{secret} {appid}");
        }
        let other = Asked { grant_type: "password".to_owned(), ..asked(SECRET, "wx1") };
        assert_eq!(services.admit(&other, Provider::WeChat).err(), Some(WRONG_GRANT));
    }

    #[test]
    fn a_body_is_read_as_wechat_does() {
        let read = |body: &str| {
            StableAsked::in_body(body.as_bytes())
                .map(|StableAsked { asked, force_refresh }| (asked.appid, force_refresh))
        };
        assert_eq!(read(""), Err(NO_BODY));
        for wrong in
            ["appid=wx1", "[]", "null", "{", "{\"appid\": 1}", "{\"force_refresh\": \"yes\"}"]
        {
            assert_eq!(read(wrong), Err(NO_JSON), "{wrong}");
        }
        assert_eq!(read("{}"), Ok((String::new(), false)));
        let said = " {\"appid\": \"wx1\", \"more\": 1, \"force_refresh\": true}";
        assert_eq!(read(said), Ok(("wx1".to_owned(), true)));
    }

    #[test]
    fn a_service_keeps_no_token_longer_than_it_is_sure_to_live() {
        let minutes = |minutes: u64| Duration::from_mins(minutes);
        let kept = |left: Duration, generation: u64, state: State| {
            let published = Published {
                token: Token::new("a-token".to_owned()).unwrap(),
                left,
                expires_at_ms: 0,
                generation,
            };
            let unit = Unit::access_token("wx1".parse().unwrap());
            let view = UnitView {
                unit,
                provider: "wechat",
                app_id: "wx1".to_owned(),
                state: Some(state),
                now_ms: 1_000,
                outlook: None,
            };
            kept_for(&published, &view, minutes(5))
        };
        let planned = |refresh_in: Duration| State {
            generation: 7,
            refresh_at_ms: 1_000 + millis(refresh_in),
            ..State::default()
        };
        // The next one comes in 110 minutes, and this one lives for five more.
        assert_eq!(kept(minutes(120), 7, planned(minutes(110))), 115 * 60 - 2);
        // Where the next one comes late, this one lives to its end.
        assert_eq!(kept(minutes(120), 7, planned(minutes(118))), 120 * 60 - 2);
        // Its successor is overdue, was asked for, or may be there already.
        assert_eq!(kept(minutes(120), 7, planned(Duration::ZERO)), 5 * 60 - 2);
        let marked = State { rejected: Some(Mark::Forced), ..planned(minutes(110)) };
        assert_eq!(kept(minutes(120), 7, marked), 5 * 60 - 2);
        assert_eq!(kept(minutes(120), 8, planned(minutes(110))), 5 * 60 - 2);
        assert_eq!(kept(Duration::from_millis(900), 7, planned(Duration::ZERO)), 1);
    }
}

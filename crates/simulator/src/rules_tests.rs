//! The rules of one call, checked without sockets.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

fn at(seconds: u64) -> Moment {
    Moment { ms: seconds * 1_000, unix_ms: 1_790_000_000_000 + seconds * 1_000 }
}

fn upstream() -> Upstream {
    let settings = Settings { accounts: vec![Account::new("wx1", "hush")], ..Settings::default() };
    Upstream::new(settings, [3; 16])
}

fn request(endpoint: Endpoint) -> Request {
    Request {
        endpoint,
        app_id: "wx1".to_owned(),
        secret: "hush".to_owned(),
        grant_type: "client_credential".to_owned(),
        force: false,
        access_token: String::new(),
        ticket_type: String::new(),
        malformed: None,
    }
}

#[track_caller]
fn token(upstream: &mut Upstream, request: &Request, now: Moment) -> (String, u64) {
    match upstream.judge(request, HERE, now, 1) {
        Verdict::Token { value, expires_in, .. } => (value, expires_in),
        other => panic!("no token: {other:?}"),
    }
}

#[track_caller]
fn refused(upstream: &mut Upstream, request: &Request, now: Moment) -> i32 {
    match upstream.judge(request, HERE, now, 1) {
        Verdict::Refused { errcode, .. } => errcode,
        other => panic!("not refused: {other:?}"),
    }
}

#[track_caller]
fn probe(upstream: &mut Upstream, access_token: &str, now: Moment) -> Option<i32> {
    let request = Request { access_token: access_token.to_owned(), ..request(Endpoint::Probe) };
    match upstream.judge(&request, HERE, now, 1) {
        Verdict::Done(_) => None,
        Verdict::Refused { errcode, .. } => Some(errcode),
        Verdict::Token { .. } | Verdict::Ticket { .. } => panic!("a probe issued a token"),
    }
}

#[test]
fn a_call_is_refused_for_its_first_fault() {
    let mut upstream = upstream();
    let good = request(Endpoint::Legacy);
    let rows = [
        (40002, Request { grant_type: "password".to_owned(), ..good.clone() }),
        (41002, Request { app_id: String::new(), ..good.clone() }),
        (41004, Request { secret: String::new(), ..good.clone() }),
        (40013, Request { app_id: "wx2".to_owned(), ..good.clone() }),
        (40125, Request { secret: "guess".to_owned(), ..good.clone() }),
        (43002, Request { malformed: Some(43002), ..good }),
    ];
    for (errcode, request) in rows {
        assert_eq!(refused(&mut upstream, &request, at(0)), errcode);
    }
}

#[test]
fn a_reset_secret_is_wrong_at_once_and_issued_tokens_live_on() {
    let mut upstream = upstream();
    let (value, _) = token(&mut upstream, &request(Endpoint::Legacy), at(0));
    let change = AccountChange { secret: Some("new".to_owned()), ..AccountChange::default() };
    upstream.change("wx1", change).unwrap();
    assert_eq!(refused(&mut upstream, &request(Endpoint::Legacy), at(1)), 40125);
    assert_eq!(probe(&mut upstream, &value, at(1)), None);
}

#[test]
fn the_whitelist_is_of_the_account_and_an_empty_one_lets_nobody() {
    let mut upstream = upstream();
    let only = |whitelist| AccountChange { whitelist: Some(whitelist), ..AccountChange::default() };
    upstream.change("wx1", only(vec![])).unwrap();
    assert_eq!(refused(&mut upstream, &request(Endpoint::Stable), at(0)), 40164);
    upstream.change("wx1", only(vec![HERE])).unwrap();
    token(&mut upstream, &request(Endpoint::Stable), at(0));
    upstream.change("wx1", only(vec![])).unwrap();
    let lifted = AccountChange { any_address: true, ..AccountChange::default() };
    upstream.change("wx1", lifted).unwrap();
    token(&mut upstream, &request(Endpoint::Legacy), at(0));
}

#[test]
fn an_account_in_disgrace_is_refused_by_its_condition() {
    let mut upstream = upstream();
    let rows = [
        (40243, AccountChange { frozen: Some(true), ..AccountChange::default() }),
        (50002, AccountChange { condition: Some(Condition::Limited), ..AccountChange::default() }),
        (
            50004,
            AccountChange { condition: Some(Condition::Forbidden), ..AccountChange::default() },
        ),
        (50007, AccountChange { condition: Some(Condition::Frozen), ..AccountChange::default() }),
    ];
    for (errcode, change) in rows {
        upstream.change("wx1", change).unwrap();
        assert_eq!(refused(&mut upstream, &request(Endpoint::Legacy), at(0)), errcode);
        let well = AccountChange { frozen: Some(false), ..AccountChange::default() };
        upstream.change("wx1", well).unwrap();
    }
}

#[test]
fn an_unknown_account_is_made_only_with_a_secret() {
    let mut upstream = upstream();
    assert_eq!(upstream.change("wx2", AccountChange::default()), Err(UnknownAccount));
    let change = AccountChange { secret: Some("s".to_owned()), ..AccountChange::default() };
    assert_eq!(upstream.change("wx2", change), Ok(()));
}

#[test]
fn a_dead_token_is_told_apart_by_how_it_died() {
    let mut upstream = upstream();
    let (first, _) = token(&mut upstream, &request(Endpoint::Legacy), at(0));
    let (second, _) = token(&mut upstream, &request(Endpoint::Legacy), at(10));
    assert_eq!(probe(&mut upstream, &first, at(309)), None);
    assert_eq!(probe(&mut upstream, &first, at(310)), Some(40001));
    assert_eq!(probe(&mut upstream, &second, at(7_209)), None);
    assert_eq!(probe(&mut upstream, &second, at(7_210)), Some(42001));
    assert_eq!(probe(&mut upstream, "never-issued", at(0)), Some(40014));
    assert_eq!(probe(&mut upstream, "", at(0)), Some(41001));
}

#[test]
fn the_two_pools_never_touch_each_other() {
    let mut upstream = upstream();
    let (stable, _) = token(&mut upstream, &request(Endpoint::Stable), at(0));
    let (legacy, _) = token(&mut upstream, &request(Endpoint::Legacy), at(1));
    token(&mut upstream, &request(Endpoint::Legacy), at(2));
    assert_eq!(probe(&mut upstream, &stable, at(1_000)), None);
    assert_eq!(probe(&mut upstream, &legacy, at(1_000)), Some(40001));
}

#[test]
fn a_stable_token_tells_its_remaining_seconds() {
    let mut upstream = upstream();
    let stable = request(Endpoint::Stable);
    let (first, expires_in) = token(&mut upstream, &stable, at(0));
    assert_eq!(expires_in, 7_200);
    assert_eq!(token(&mut upstream, &stable, at(6_855)), (first.clone(), 345));
    let (second, expires_in) = token(&mut upstream, &stable, at(6_900));
    assert_eq!((first == second, expires_in), (false, 7_200));
    assert_eq!(probe(&mut upstream, &first, at(7_199)), None);
    assert_eq!(probe(&mut upstream, &first, at(7_200)), Some(42001));
}

#[test]
fn forced_refreshes_are_spaced_and_counted() {
    let mut upstream = upstream();
    let forced = Request { force: true, ..request(Endpoint::Stable) };
    let (first, _) = token(&mut upstream, &forced, at(0));
    assert_eq!(token(&mut upstream, &forced, at(29)), (first.clone(), 7_171));
    let (second, expires_in) = token(&mut upstream, &forced, at(30));
    assert_eq!((first == second, expires_in), (false, 7_200));
    assert_eq!(probe(&mut upstream, &first, at(30)), Some(40001));
    for call in 2..20 {
        token(&mut upstream, &forced, at(30 * call));
    }
    assert_eq!(refused(&mut upstream, &forced, at(600)), 45009);
    token(&mut upstream, &request(Endpoint::Stable), at(600));
}

#[test]
fn the_daily_limit_ends_with_a_clearing() {
    let settings = Settings {
        daily_limit: 1,
        accounts: vec![Account::new("wx1", "hush")],
        ..Settings::default()
    };
    let mut upstream = Upstream::new(settings, [3; 16]);
    token(&mut upstream, &request(Endpoint::Legacy), at(0));
    assert_eq!(refused(&mut upstream, &request(Endpoint::Legacy), at(1)), 45009);
    let cleared = upstream.judge(&request(Endpoint::ClearQuota), HERE, at(2), 1);
    assert!(matches!(cleared, Verdict::Done(_)));
    token(&mut upstream, &request(Endpoint::Legacy), at(3));
}

#[test]
fn a_refused_address_may_call_again_after_the_block() {
    let settings = Settings {
        refused_once: Duration::from_mins(1),
        accounts: vec![Account::new("wx1", "hush")],
        ..Settings::default()
    };
    let mut upstream = Upstream::new(settings, [3; 16]);
    let risk = AccountChange { risk: Some(true), ..AccountChange::default() };
    upstream.change("wx1", risk).unwrap();
    let legacy = request(Endpoint::Legacy);
    assert_eq!(refused(&mut upstream, &legacy, at(0)), 89503);
    assert_eq!(refused(&mut upstream, &legacy, at(1)), 89501);
    upstream.refuse("wx1", HERE, at(2)).unwrap();
    assert_eq!(refused(&mut upstream, &legacy, at(61)), 89507);
    assert_eq!(refused(&mut upstream, &legacy, at(62)), 89503);
    upstream.confirm("wx1", HERE).unwrap();
    token(&mut upstream, &legacy, at(63));
}

#[test]
fn another_party_shortens_the_life_of_our_token() {
    let mut upstream = upstream();
    let (ours, _) = token(&mut upstream, &request(Endpoint::Legacy), at(0));
    upstream.foreign("wx1", Pool::Legacy, at(100)).unwrap();
    assert_eq!(probe(&mut upstream, &ours, at(400)), Some(40001));
    assert_ne!(upstream.newest("wx1").unwrap().value, ours);
    assert_eq!(upstream.foreign("wx9", Pool::Legacy, at(0)), Err(UnknownAccount));
}

#[test]
fn a_ticket_lasts_as_its_epoch_and_never_counts_down() {
    let mut upstream = upstream();
    let (access_token, _) = token(&mut upstream, &request(Endpoint::Stable), at(0));
    let ask =
        Request { access_token, ticket_type: "jsapi".to_owned(), ..request(Endpoint::Ticket) };
    let mut ticket = |now| match upstream.judge(&ask, HERE, now, 1) {
        Verdict::Ticket { value, expires_in, .. } => (value, expires_in),
        other => panic!("no ticket: {other:?}"),
    };
    assert_eq!(ticket(at(1)), ticket(at(7_199)));
    assert_eq!(ticket(at(7_199)).1, 7_200);
    let (ticket, _) = ticket(at(1));
    assert_eq!(probe(&mut upstream, &ticket, at(1)), Some(40014));
    assert!(upstream.find_token(&ticket).unwrap().is_alive(at(10_799).ms));
    assert!(!upstream.find_token(&ticket).unwrap().is_alive(at(10_800).ms));
    assert_ne!(upstream.newest("wx1").unwrap().value, ticket);
    let other = Request { ticket_type: "other".to_owned(), ..ask };
    assert_eq!(refused(&mut upstream, &other, at(1)), 40097);
}

#[test]
fn the_daily_limit_of_tickets_is_one_of_its_own() {
    let settings = Settings {
        ticket_daily_limit: 1,
        accounts: vec![Account::new("wx1", "hush")],
        ..Settings::default()
    };
    let mut upstream = Upstream::new(settings, [3; 16]);
    let (access_token, _) = token(&mut upstream, &request(Endpoint::Legacy), at(0));
    let ask =
        Request { access_token, ticket_type: "wx_card".to_owned(), ..request(Endpoint::Ticket) };
    assert!(matches!(upstream.judge(&ask, HERE, at(1), 1), Verdict::Ticket { .. }));
    assert_eq!(refused(&mut upstream, &ask, at(2)), 45009);
    token(&mut upstream, &request(Endpoint::Legacy), at(3));
}

#[test]
fn an_open_upstream_takes_any_account_but_keeps_the_secrets_it_knows() {
    let settings =
        Settings { open: true, accounts: vec![Account::new("wx1", "hush")], ..Settings::default() };
    let mut upstream = Upstream::new(settings, [3; 16]);
    let stranger = Request { app_id: "wx77".to_owned(), ..request(Endpoint::Legacy) };
    token(&mut upstream, &stranger, at(0));
    let wrong = Request { secret: "guess".to_owned(), ..request(Endpoint::Legacy) };
    assert_eq!(refused(&mut upstream, &wrong, at(0)), 40125);
}

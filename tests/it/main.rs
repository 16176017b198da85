//! Whole clusters on real parts: real workers, a real redis-server, an upstream that obeys WeChat's rules.
//!
//! One binary, so that it is linked once. Every test has a cluster of its own.
//!
//! - `schedule`: nothing goes wrong.
//! - `death`: a worker is killed or paused in the middle of a refresh.
//! - `answers`: replies get lost or come late.
//! - `store`: Redis is lost, wiped, edited by hand, or its clock is stepped.
//! - `cluster`: the same of a Redis Cluster.
//! - `managed`: Redis refuses what some managed ones refuse.
//! - `pressure`: Redis is short of memory, held up, or cannot write to its disk.
//! - `refusals`: the upstream refuses.
//! - `publishing`: the keys that SDKs read; `adoption`: services that fetch for themselves.
//! - `reports`: a token is rejected; what an operator may do about a unit.
//! - `tickets`: what is got with an access token.
//! - `faults`: all of that at every point of a refresh, and networks, failover and upgrades; judged by the checker.
//! - `encryption`: Redis over TLS, and over a Unix socket.
//! - `sentinel`: what `check` and `keys` tell of Sentinels, their logins and encryption; failovers are in `faults`.
//! - `history`: what is kept of what happened.
//! - `cost`: what a refresh and an idle unit cost.
//! - `acl`: the roles of Redis users that are shipped.
//! - `commands`: what the command line answers.
//! - `life`: start, configuration, reload and stop of a worker.
//! - `http`: the interface of a worker: scopes, tokens, sign-ins that fail.
//! - `hostile`: requests that nobody makes by mistake, each with its answer, as bytes (`wire`).
//! - `https`: the interface over TLS, and a certificate that is renewed.
//! - `openapi`: the description of that interface, held against it.
//! - `wechat`: tokens as WeChat would answer for them, and an SDK that lives on them.
//! - `dashboard`: the page, in a real browser.
//! - `metrics`: what Prometheus scrapes, the rules and the board that read it, and what to do about an alert.
//! - `notify`: who is told when a person is needed, and that it is over.
//! - `secrecy`: no secret and no token leaves.
//! - `readers`: the code of the readers' guide, in each of its languages.
//! - `architecture`: the shape of the tree.
//!
//! `setup` and `python` are what they share.

#![expect(clippy::unwrap_used, reason = "a broken fixture must stop the test at once")]

mod acl;
mod adoption;
mod answers;
mod architecture;
mod cluster;
mod commands;
mod cost;
mod dashboard;
mod death;
mod encryption;
mod faults;
mod history;
mod hostile;
mod http;
mod https;
mod life;
mod managed;
mod metrics;
mod notify;
mod openapi;
mod pressure;
mod publishing;
mod python;
mod readers;
mod refusals;
mod reports;
mod schedule;
mod secrecy;
mod sentinel;
mod setup;
mod store;
mod tickets;
mod wechat;
mod wire;

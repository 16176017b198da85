//! Everything a test can ask the upstream or order it to do, without going over HTTP.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::account::{AccountChange, UnknownAccount};
use crate::book::{Pool, Token};
use crate::faults::{Fault, FaultKind, HeldCall, Hold, Point, Scope};
use crate::record::{JournalView, Summary};

use crate::settings::Account;
use crate::state::{Shared, State};

/// A way to a running simulator; copies lead to the same one. Waits have no end of their own:
/// callers put a timeout around them.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("now_ms", &self.now_ms()).finish_non_exhaustive()
    }
}

/// Questions about the truth.
impl Handle {
    /// Milliseconds since the simulator started; all times of the journal count from there.
    pub fn now_ms(&self) -> u64 {
        self.shared.clock.now().ms
    }

    /// Whether the upstream would accept this token for this account now.
    pub fn is_alive(&self, app_id: &str, token: &str) -> bool {
        self.shared.read(|state, now| {
            let token = state.upstream.find_token(token);
            token.is_some_and(|token| token.app_id == app_id && token.is_alive(now.ms))
        })
    }

    /// The account's newest token, alive or not, from either pool.
    pub fn newest(&self, app_id: &str) -> Option<Token> {
        self.shared.read(|state, _| state.upstream.newest(app_id).cloned())
    }

    /// The record of a token by its value.
    pub fn token(&self, value: &str) -> Option<Token> {
        self.shared.read(|state, _| state.upstream.find_token(value).cloned())
    }

    /// Every token of the account, oldest first, with its value.
    pub fn tokens(&self, app_id: &str) -> Vec<Token> {
        self.shared.read(|state, _| {
            state.upstream.tokens().filter(|token| token.app_id == app_id).cloned().collect()
        })
    }

    /// The values of all tokens ever issued, to search logs for them.
    pub fn issued_tokens(&self) -> Vec<String> {
        self.shared
            .read(|state, _| state.upstream.tokens().map(|token| token.value.clone()).collect())
    }

    /// The journal of all accounts.
    pub fn journal(&self) -> JournalView {
        self.view(|_| true)
    }

    /// The journal of one account.
    pub fn journal_of(&self, app_id: &str) -> JournalView {
        self.view(|of| of == app_id)
    }

    /// The counts of one account.
    pub fn summary(&self, app_id: &str) -> Summary {
        self.shared.read(|state, _| summary(state, app_id))
    }

    /// Token calls received for the account.
    pub fn calls(&self, app_id: &str) -> u64 {
        self.summary(app_id).calls
    }

    /// The most token calls ever under way at once for the account.
    pub fn max_overlap(&self, app_id: &str) -> u32 {
        self.summary(app_id).max_overlapping
    }

    fn view(&self, wanted: impl Fn(&str) -> bool) -> JournalView {
        self.shared.read(|state, now| JournalView {
            started_unix_ms: self.shared.clock.started_unix_ms(),
            now_ms: now.ms,
            forgotten: state.journal.forgotten(),
            calls: state.journal.records().filter(|call| wanted(&call.app_id)).cloned().collect(),
            tokens: state.upstream.tokens().filter(|of| wanted(&of.app_id)).cloned().collect(),
        })
    }
}

/// Faults and holds.
impl Handle {
    /// Lets something go wrong with the calls in the scope.
    pub fn set_fault(&self, kind: FaultKind, scope: Scope) {
        self.shared.update(|state, _| state.orders.add_fault(Fault { kind, scope }));
    }

    /// Answers the calls in the scope with this code and its usual message.
    pub fn set_outcome(&self, errcode: i32, scope: Scope) {
        self.set_fault(FaultKind::Errcode { errcode, errmsg: None }, scope);
    }

    /// The faults still in force.
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.read(|state, _| state.orders.faults().to_vec())
    }

    /// Ends all faults. Calls already received keep the fault that struck them.
    pub fn clear_faults(&self) {
        self.shared.update(|state, _| state.orders.clear_faults());
    }

    /// Lets the calls in the scope stand still at a point.
    pub fn hold(&self, point: Point, scope: Scope) {
        self.shared.update(|state, _| state.orders.add_hold(Hold { point, scope }));
    }

    /// Ends all holds. Calls that already stand still need a release.
    pub fn clear_holds(&self) {
        self.shared.update(|state, _| state.orders.clear_holds());
    }

    /// The calls that stand still, oldest first.
    pub fn held(&self) -> Vec<HeldCall> {
        self.shared.read(|state, _| held(state))
    }

    /// Lets one call go on; says whether it stood still.
    pub fn release(&self, call: u64) -> bool {
        self.shared.update(|state, _| {
            state.held.remove(&call).is_some_and(|held| held.release.send(()).is_ok())
        })
    }

    /// Lets all calls go on; says how many.
    pub fn release_all(&self) -> usize {
        self.shared.update(|state, _| {
            let held = std::mem::take(&mut state.held);
            held.into_values().filter_map(|held| held.release.send(()).ok()).count()
        })
    }
}

/// What happens outside the product: accounts, administrators, other parties, time.
impl Handle {
    /// Another party fetches a token at once: a legacy call, or a forced stable refresh. Its
    /// address, standing and limits are not asked.
    pub fn foreign_refresh(&self, app_id: &str, pool: Pool) -> Result<Token, UnknownAccount> {
        self.shared.update(|state, now| {
            let fetched = state.upstream.foreign(app_id, pool, now)?;
            let caller = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            state.journal.foreign(app_id, caller, fetched.serial, now.ms);
            state.upstream.newest(app_id).cloned().ok_or(UnknownAccount)
        })
    }

    /// Makes one token invalid before its time; says whether there is such a token.
    ///
    /// Unless `forget` is set, the stable pool goes on handing it out until its last minutes, as
    /// the real upstream was seen to do: only a forced refresh helps then.
    pub fn revoke(&self, token: &str, forget: bool) -> bool {
        self.shared.update(|state, now| state.upstream.revoke(token, forget, now))
    }

    /// Adds an account, or replaces one.
    pub fn add_account(&self, account: Account) {
        self.shared.update(|state, _| state.upstream.add(account));
    }

    /// Changes an account; one that does not exist is made if the change has a secret.
    pub fn change_account(
        &self,
        app_id: &str,
        change: AccountChange,
    ) -> Result<(), UnknownAccount> {
        self.shared.update(|state, _| state.upstream.change(app_id, change))
    }

    /// Lets only these addresses fetch; `None` lets every address.
    pub fn set_whitelist(
        &self,
        app_id: &str,
        whitelist: Option<Vec<IpAddr>>,
    ) -> Result<(), UnknownAccount> {
        let any_address = whitelist.is_none();
        let change = AccountChange { whitelist, any_address, ..AccountChange::default() };
        self.change_account(app_id, change)
    }

    /// Resets the secret; the one before is wrong at once.
    pub fn set_secret(
        &self,
        app_id: &str,
        secret: impl Into<String>,
    ) -> Result<(), UnknownAccount> {
        let change = AccountChange { secret: Some(secret.into()), ..AccountChange::default() };
        self.change_account(app_id, change)
    }

    /// Freezes or unfreezes the secret.
    pub fn freeze(&self, app_id: &str, frozen: bool) -> Result<(), UnknownAccount> {
        let change = AccountChange { frozen: Some(frozen), ..AccountChange::default() };
        self.change_account(app_id, change)
    }

    /// The administrator consents to an address.
    pub fn confirm(&self, app_id: &str, caller: IpAddr) -> Result<(), UnknownAccount> {
        self.shared.update(|state, _| state.upstream.confirm(app_id, caller))
    }

    /// The administrator refuses an address.
    pub fn refuse(&self, app_id: &str, caller: IpAddr) -> Result<(), UnknownAccount> {
        self.shared.update(|state, now| state.upstream.refuse(app_id, caller, now))
    }

    /// Moves the upstream's clock forward. Delays of faults under way are not shortened.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
        self.shared.update(|_, _| ());
    }
}

/// Waiting for what happens.
impl Handle {
    /// Waits until so many token calls were received for the account.
    pub async fn wait_for_calls(&self, app_id: &str, calls: u64) -> Summary {
        self.wait_for_summary(app_id, |summary| summary.calls >= calls).await
    }

    /// Waits until so many token calls were processed for the account.
    pub async fn wait_for_processed(&self, app_id: &str, calls: u64) -> Summary {
        self.wait_for_summary(app_id, |summary| summary.processed >= calls).await
    }

    /// Waits until no token call is under way for the account.
    pub async fn wait_until_idle(&self, app_id: &str) -> Summary {
        self.wait_for_summary(app_id, |summary| summary.under_way == 0).await
    }

    /// Waits until the account's counts are as asked.
    pub async fn wait_for_summary(
        &self,
        app_id: &str,
        wanted: impl Fn(&Summary) -> bool,
    ) -> Summary {
        self.shared.wait(|state, _| Some(summary(state, app_id)).filter(&wanted)).await
    }

    /// Waits until at least so many calls stand still.
    pub async fn wait_held(&self, calls: usize) -> Vec<HeldCall> {
        self.shared.wait(|state, _| Some(held(state)).filter(|held| held.len() >= calls)).await
    }
}

fn summary(state: &State, app_id: &str) -> Summary {
    let newest = state.upstream.newest(app_id).map(|token| token.fingerprint.clone());
    Summary { newest, ..state.journal.summary(app_id) }
}

fn held(state: &State) -> Vec<HeldCall> {
    state.held.values().map(|held| held.call.clone()).collect()
}

//! The client: the copies that are kept, the connection that keeps them, and the task behind both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use redis::aio::MultiplexedConnection;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use zhongkong_core::credential::{CredentialId, NameError, Unit};

use crate::copy::Copy;
use crate::error::{SettingsError, Why};
use crate::follow::Follower;
use crate::link;
use crate::reader::Reader;
use crate::settings::{Builder, Pace, Target};

/// One connection to Redis, and the copies that it keeps current. Cloning it copies a pointer.
///
/// The connection ends when the last clone and the last [`Reader`] are dropped.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

/// How a client hears that a token was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Redis tells at once (`CLIENT TRACKING`).
    Tracking,
    /// Redis refuses to tell, so it is asked every second (a tenth of the bound of a copy's age).
    Polling,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    _follower: JoinSet<()>,
}

/// What the handles and the task behind them share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) prefix: String,
    pub(crate) pace: Pace,
    /// By key. Whoever holds a reader keeps its copy alive; the rest is swept out.
    copies: Mutex<HashMap<String, Weak<Copy>>>,
    state: Mutex<State>,
    /// Tells the task that a copy is wanted.
    pub(crate) wake: Notify,
}

#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Connecting,
    Connected(MultiplexedConnection, Mode),
    Lost(Why),
}

impl Client {
    /// The settings of a client of the Redis at `url`:
    /// `redis://host:port/database`, `rediss://…` (TLS) or `unix:///path?db=database`.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    pub(crate) fn start(target: Target, prefix: String, pace: Pace) -> Result<Self, SettingsError> {
        if let Some(certificates) = &target.tls {
            // Files that are of no use now are an error now, and not a line in the log.
            link::encryption(certificates)?;
        }
        let runtime = Handle::try_current().map_err(|_| SettingsError::NoRuntime)?;
        let shared = Arc::new(Shared::new(prefix, pace));
        let follower = Follower { target, shared: Arc::clone(&shared) };
        let mut tasks = JoinSet::new();
        tasks.spawn_on(follower.run(), &runtime);
        Ok(Self { inner: Arc::new(Inner { shared, _follower: tasks }) })
    }

    /// Watches the access token of the credential `id`.
    pub fn access_token(&self, id: &str) -> Result<Reader, NameError> {
        id.parse::<CredentialId>().map(|id| self.reader(Unit::access_token(id)))
    }

    /// Watches `unit`, for as long as the handle or a clone of it lives. All handles of a unit share one copy.
    pub fn reader(&self, unit: Unit) -> Reader {
        Reader::new(self.clone(), self.inner.shared.copy_of(unit))
    }

    /// How changes are heard of; none while there is no connection.
    pub fn mode(&self) -> Option<Mode> {
        match &*self.inner.shared.state() {
            State::Connected(_, mode) => Some(*mode),
            State::Connecting | State::Lost(_) => None,
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }
}

impl Shared {
    fn new(prefix: String, pace: Pace) -> Self {
        let (copies, state) = (Mutex::default(), Mutex::default());
        Self { prefix, pace, copies, state, wake: Notify::new() }
    }

    fn copy_of(&self, unit: Unit) -> Arc<Copy> {
        // A hash tag: all keys of a credential share a slot of a Redis Cluster.
        let key = format!("{}:{{{}}}:{}", self.prefix, unit.id, unit.kind);
        let mut copies = self.copies();
        if let Some(copy) = copies.get(&key).and_then(Weak::upgrade) {
            return copy;
        }
        let why = match &*self.state() {
            State::Lost(why) => Some(why.clone()),
            State::Connecting | State::Connected(..) => None,
        };
        let copy = Arc::new(Copy::new(unit, key.clone(), self.pace.max_age, why));
        copies.insert(key, Arc::downgrade(&copy));
        self.wake.notify_one();
        copy
    }

    /// The copies that somebody still holds.
    pub(crate) fn living(&self) -> Vec<Arc<Copy>> {
        let mut copies = self.copies();
        copies.retain(|_, copy| copy.strong_count() > 0);
        copies.values().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn want(&self, key: &str) {
        if let Some(copy) = self.copies().get(key).and_then(Weak::upgrade) {
            copy.want();
        }
    }

    pub(crate) fn want_all(&self) {
        self.living().iter().for_each(|copy| copy.want());
    }

    pub(crate) fn connected(&self, connection: MultiplexedConnection, mode: Mode) {
        *self.state() = State::Connected(connection, mode);
    }

    pub(crate) fn lost(&self, why: &Why) {
        *self.state() = State::Lost(why.clone());
        self.living().iter().for_each(|copy| copy.blame(why));
    }

    /// The connection, for a command of a handle's own.
    pub(crate) fn connection(&self) -> Result<MultiplexedConnection, Why> {
        match &*self.state() {
            State::Connected(connection, _) => Ok(connection.clone()),
            State::Lost(why) => Err(why.clone()),
            State::Connecting => Err(Why::new("not connected yet")),
        }
    }

    fn copies(&self) -> MutexGuard<'_, HashMap<String, Weak<Copy>>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_nobody_holds_any_more_takes_no_room() {
        let shared = Shared::new("zhongkong".to_owned(), Pace::of(Duration::from_secs(10)));
        let unit = |number| Unit::access_token(format!("wx{number}").parse().unwrap());
        let kept = shared.copy_of(unit(0));
        for number in 1..100 {
            drop(shared.copy_of(unit(number)));
        }
        assert!(Arc::ptr_eq(&kept, &shared.living()[0]));
        assert_eq!(shared.copies().len(), 1);
    }
}

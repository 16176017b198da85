//! One token, published at the keys of every SDK that the credential names.

use std::sync::Arc;

use futures_util::future::join_all;
use zhongkong_core::clock::{Boot, Clock, millis};
use zhongkong_core::credential::{Kind, Unit};
use zhongkong_core::ports::{Observed, Store, StoreError};
use zhongkong_core::publication::{Outcome, Publication};
use zhongkong_core::publisher::Publisher;
use zhongkong_core::token::Fingerprint;
use zhongkong_layouts::Layout;

use crate::settings::CredentialSettings;

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// The fence under which the token was committed.
    pub(crate) token_fence: u64,
    /// When its life ends, by the store's clock.
    pub(crate) expires_at_ms: u64,
    /// The token.
    pub(crate) fingerprint: Fingerprint,
    /// Whose it is.
    pub(crate) credential: Arc<CredentialSettings>,
    /// What it came to at the keys of each of its layouts, in their order.
    pub(crate) results: Vec<Result<Vec<Outcome>, StoreError>>,
}

impl CredentialSettings {
    /// The SDKs that read a token of this kind.
    pub(crate) fn layouts(&self, kind: Kind) -> impl Iterator<Item = &Layout> {
        self.publish.iter().filter(move |(of, _)| *of == kind).map(|(_, layout)| layout)
    }
}

/// Publishes the token of `observed`, a state with its token that was asked for at `asked_at`; none if there is nothing to do.
pub(crate) async fn publish(
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    credential: &Arc<CredentialSettings>,
    unit: &Unit,
    (observed, asked_at): (&Observed, Boot),
) -> Option<Shown> {
    let Observed { state, now_ms } = observed;
    let token = state.token.as_ref().filter(|_| Publisher::cares(state))?;
    let left_ms = state.expires_at_ms.saturating_sub(*now_ms);
    let each = credential.layouts(unit.kind).map(|layout| async move {
        // It counts from when the store was asked: no key outlives the token, however long the answer took.
        let publication = Publication {
            token_fence: state.token_fence,
            expires_at_ms: state.expires_at_ms,
            left_ms: left_ms.saturating_sub(millis(clock.now().since(asked_at))),
            entries: layout.entries(token, state.expires_at_ms),
        };
        store.publish(&publication).await
    });
    Some(Shown {
        token_fence: state.token_fence,
        expires_at_ms: state.expires_at_ms,
        fingerprint: token.fingerprint(),
        credential: Arc::clone(credential),
        results: join_all(each).await,
    })
}

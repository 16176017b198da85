//! Who plays: two accounts, one of each nature, and the times that they and the workers go by.

use std::collections::BTreeMap;
use std::time::Duration;

use zhongkong_core::credential::{CredentialId, Unit};
use zhongkong_core::nature::Nature;
use zhongkong_core::publication::Entry;
use zhongkong_core::timing::{Times, Timing, TimingError};
use zhongkong_core::token::Token;
use zhongkong_layouts::{Family, Layout, Options};
use zhongkong_simulator::{Platform, Pool, Settings};

/// How many units there are.
pub(crate) const UNITS: usize = 2;

/// An account at its upstream.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) unit: Unit,
    pub(crate) nature: Nature,
    pub(crate) pool: Pool,
    pub(crate) platform: Platform,
    /// The secret that the upstream knows.
    pub(crate) secret: Secret,
    /// What stands in the secret file of each worker, where that is another.
    pub(crate) files: BTreeMap<usize, Secret>,
    /// What services with an SDK read.
    pub(crate) layout: Layout,
}

/// The number of a secret: which of all that the account ever had.
pub(crate) type Secret = u32;

/// The secret as text.
pub(crate) fn secret_text(secret: Secret) -> String {
    format!("secret-{secret}")
}

impl Account {
    /// What worker `number` believes the secret to be.
    pub(crate) fn file(&self, number: usize) -> Secret {
        self.files.get(&number).copied().unwrap_or(self.secret)
    }

    /// What a service with an SDK would write of the newest token: its keys, and what stands there then.
    pub(crate) fn written_by_a_service(&self) -> Vec<Entry> {
        let newest = self.platform.newest(self.app_id()).map(|token| {
            Token::new(token.value.clone())
                .map(|own| self.layout.entries(&own, token.expires_at_ms))
        });
        newest.and_then(Result::ok).unwrap_or_default()
    }

    /// The account's name at the upstream: the same as its id.
    pub(crate) fn app_id(&self) -> &str {
        self.unit.id.as_str()
    }
}

/// Both accounts. Tokens of the rotating one die with the second after them if only the newest two live.
pub(crate) fn accounts(seed: u64, times: &Times, life: Duration, strict: bool) -> Vec<Account> {
    let settings = |strict| Settings {
        life,
        overlap: times.overlap,
        newest_two_only: strict,
        token_length: 64,
        ..Settings::default()
    };
    let account = |id: &str, nature, pool, strict| {
        let id = CredentialId::try_from(id.to_owned()).ok()?;
        let mut settings = settings(strict);
        let secret = secret_text(0);
        settings.accounts = vec![zhongkong_simulator::Account::new(id.as_str(), secret)];
        let unit = Unit::access_token(id);
        let platform = Platform::new(settings, seed);
        let account = zhongkong_layouts::Account { app_id: unit.id.as_str(), kind: unit.kind };
        let layout = Layout::new(Family::named("wechatpy")?, &account, &Options::default()).ok()?;
        let files = BTreeMap::new();
        Some(Account { unit, nature, pool, platform, secret: 0, files, layout })
    };
    [
        account("rotating", Nature::WECHAT, Pool::Legacy, strict),
        account("stable", Nature::Idempotent, Pool::Stable, false),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Times to play with, proved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    /// How long a token lives.
    pub(crate) life: Duration,
    /// The times of most workers.
    pub(crate) timing: Timing,
    /// Those of workers that were changed while the others were not.
    pub(crate) changed: Timing,
}

impl Profile {
    /// Short lives: many refreshes an hour.
    pub(crate) fn short() -> Result<Self, TimingError> {
        let s = Duration::from_secs;
        let times = Times {
            ahead: s(150),
            request_timeout: s(3),
            lease: s(5),
            drain: s(22),
            spacing: s(10),
            overlap: s(120),
            hold: s(12),
        };
        let changed = Times { lease: s(8), request_timeout: s(5), spacing: s(20), ..times };
        Ok(Self { life: s(600), timing: Timing::new(times)?, changed: Timing::new(changed)? })
    }

    /// WeChat's, with the default times.
    pub(crate) fn long() -> Result<Self, TimingError> {
        let (s, min) = (Duration::from_secs, Duration::from_mins);
        let times = Times {
            ahead: min(10),
            request_timeout: s(5),
            lease: s(8),
            drain: min(1),
            spacing: s(30),
            overlap: min(5),
            hold: s(40),
        };
        let changed = Times { lease: s(12), drain: s(70), ahead: min(20), ..times };
        let life = Duration::from_hours(2);
        Ok(Self { life, timing: Timing::new(times)?, changed: Timing::new(changed)? })
    }
}

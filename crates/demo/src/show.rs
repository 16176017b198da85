//! What a scene needs, and the accounts of each scene.

use std::time::Duration;

use tokio::time::Instant;

use crate::events::Events;
use crate::narrate::Narrator;
use crate::reader::{Counts, Reader};
use crate::stage::Stage;

/// The whole show. Dropping it ends every process.
#[derive(Debug)]
pub(crate) struct Show {
    pub(crate) narrator: Narrator,
    pub(crate) events: Events,
    pub(crate) reader: Reader,
    pub(crate) stage: Stage,
    accounts: Vec<Account>,
}

/// What a scene cost, and what the reader saw in it.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) title: &'static str,
    pub(crate) counts: Counts,
    pub(crate) calls: u64,
    pub(crate) took: Duration,
}

/// Where a scene began.
pub(crate) struct Began {
    title: &'static str,
    at: Instant,
    counts: Counts,
    calls: u64,
}

impl Show {
    pub(crate) async fn open(narrator: Narrator) -> anyhow::Result<Self> {
        let stage = Stage::build().await?;
        let redis_url = stage.redis.url();
        let events = Events::listen(&redis_url, narrator.clone()).await?;
        let upstream_url = stage.upstream.url().to_owned();
        let reader = Reader::start(&redis_url, upstream_url, narrator.clone()).await?;
        Ok(Self { narrator, events, reader, stage, accounts: Vec::new() })
    }

    /// Opens a scene.
    pub(crate) async fn begin(&self, title: &'static str, text: &str) -> anyhow::Result<Began> {
        self.narrator.heading(&format!("{}. {title}", self.accounts.len() + 1));
        self.narrator.say(text);
        let calls = self.stage.upstream.calls().await?;
        Ok(Began { title, at: Instant::now(), counts: self.reader.counts(), calls })
    }

    /// What the reader found since a scene began.
    pub(crate) fn counts_since(&self, began: &Began) -> Counts {
        self.reader.counts().since(began.counts)
    }

    /// Token calls that reached the upstream since a scene began.
    pub(crate) async fn calls_since(&self, began: &Began) -> anyhow::Result<u64> {
        Ok(self.stage.upstream.calls().await? - began.calls)
    }

    /// Ends a scene, and says in a line what came of it.
    pub(crate) async fn end(&mut self, began: Began) -> anyhow::Result<()> {
        let account = Account {
            title: began.title,
            counts: self.counts_since(&began),
            calls: self.calls_since(&began).await?,
            took: began.at.elapsed(),
        };
        let Counts { reads, dead, absent, unanswered, .. } = account.counts;
        let unanswered = match unanswered {
            0 => String::new(),
            count => format!(" · unanswered {count}"),
        };
        self.narrator.result(&format!(
            "  => reads {reads} · dead tokens {dead} · absent {absent}{unanswered} · \
             upstream calls {} · {:.1} s",
            account.calls,
            account.took.as_secs_f64()
        ));
        self.accounts.push(account);
        Ok(())
    }

    /// The scenes that were played to their end.
    pub(crate) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Ends everything; the workers' logs stay if it did not go well.
    pub(crate) async fn close(self, good: bool) {
        drop((self.events, self.reader));
        self.stage.close(!good).await;
    }
}

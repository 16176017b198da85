//! The truth: every call, when it was received, processed and answered, and how many overlapped.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::record::{CallRecord, Ending, Outcome, Summary};
use crate::rules::Endpoint;

/// What is known of a call when it is received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) endpoint: Endpoint,
    pub(crate) app_id: String,
    pub(crate) caller: IpAddr,
    pub(crate) forced: bool,
    pub(crate) presented: Option<u64>,
    pub(crate) fault: Option<&'static str>,
}

#[derive(Debug)]
struct Open {
    app_id: String,
    is_token: bool,
    awaited: bool,
}

#[derive(Debug)]
pub(crate) struct Journal {
    limit: usize,
    last_call: u64,
    records: VecDeque<CallRecord>,
    /// Apart from the records, so that the counts stay right when records are forgotten.
    open: HashMap<u64, Open>,
    accounts: HashMap<String, Summary>,
}

impl Journal {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            last_call: 0,
            records: VecDeque::new(),
            open: HashMap::new(),
            accounts: HashMap::new(),
        }
    }

    pub(crate) fn received(&mut self, call: Received, now_ms: u64) -> u64 {
        self.last_call += 1;
        let Received { endpoint, app_id, caller, forced, presented, fault } = call;
        let (mut overlapping, mut overlapping_awaited) = (0, 0);
        if endpoint.is_token() {
            let summary = self.accounts.entry(app_id.clone()).or_default();
            summary.calls += 1;
            summary.under_way += 1;
            summary.awaited += 1;
            summary.max_overlapping = summary.max_overlapping.max(summary.under_way);
            summary.max_overlapping_awaited = summary.max_overlapping_awaited.max(summary.awaited);
            (overlapping, overlapping_awaited) = (summary.under_way, summary.awaited);
        }
        let open = Open { app_id: app_id.clone(), is_token: endpoint.is_token(), awaited: true };
        self.open.insert(self.last_call, open);
        self.push(CallRecord {
            call: self.last_call,
            endpoint,
            app_id,
            caller,
            forced,
            presented,
            fault,
            received_at_ms: now_ms,
            processed_at_ms: None,
            outcome: None,
            ended_at_ms: None,
            ending: None,
            caller_gone_at_ms: None,
            overlapping,
            overlapping_awaited,
        });
        self.last_call
    }

    pub(crate) fn processed(&mut self, call: u64, outcome: Outcome, now_ms: u64) {
        if let Some(open) = self.open.get(&call)
            && open.is_token
        {
            let summary = self.accounts.entry(open.app_id.clone()).or_default();
            summary.processed += 1;
            match outcome {
                Outcome::Issued { .. } => summary.issued += 1,
                Outcome::Errcode { .. } => summary.refused += 1,
                Outcome::Returned { .. } | Outcome::Served | Outcome::Nothing => {}
            }
        }
        if let Some(record) = self.record(call) {
            record.processed_at_ms = Some(now_ms);
            record.outcome = Some(outcome);
        }
    }

    pub(crate) fn caller_gone(&mut self, call: u64, now_ms: u64) {
        let Some(open) = self.open.get_mut(&call) else { return };
        open.awaited = false;
        if open.is_token {
            let summary = self.accounts.entry(open.app_id.clone()).or_default();
            summary.awaited = summary.awaited.saturating_sub(1);
        }
        if let Some(record) = self.record(call) {
            record.caller_gone_at_ms = Some(now_ms);
        }
    }

    pub(crate) fn ended(&mut self, call: u64, ending: Ending, now_ms: u64) {
        let Some(open) = self.open.remove(&call) else { return };
        if open.is_token {
            let summary = self.accounts.entry(open.app_id).or_default();
            summary.under_way = summary.under_way.saturating_sub(1);
            if open.awaited {
                summary.awaited = summary.awaited.saturating_sub(1);
            }
        }
        if let Some(record) = self.record(call) {
            record.ended_at_ms = Some(now_ms);
            record.ending = Some(ending);
        }
    }

    /// A token fetched by another party: received, processed and answered in one.
    pub(crate) fn foreign(&mut self, app_id: &str, caller: IpAddr, serial: u64, now_ms: u64) {
        let call = Received {
            endpoint: Endpoint::Foreign,
            app_id: app_id.to_owned(),
            caller,
            forced: false,
            presented: None,
            fault: None,
        };
        let call = self.received(call, now_ms);
        self.processed(call, Outcome::Issued { serial }, now_ms);
        self.ended(call, Ending::Answered, now_ms);
        let summary = self.accounts.entry(app_id.to_owned()).or_default();
        summary.issued += 1;
        summary.foreign += 1;
    }

    pub(crate) fn summary(&self, app_id: &str) -> Summary {
        self.accounts.get(app_id).cloned().unwrap_or_default()
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &CallRecord> {
        self.records.iter()
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.records.front().map_or(0, |first| first.call - 1)
    }

    fn push(&mut self, record: CallRecord) {
        if self.records.len() >= self.limit {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    fn record(&mut self, call: u64) -> Option<&mut CallRecord> {
        let first = self.records.front()?.call;
        let index = usize::try_from(call.checked_sub(first)?).ok()?;
        self.records.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn call(endpoint: Endpoint) -> Received {
        Received {
            endpoint,
            app_id: "wx1".to_owned(),
            caller: IpAddr::V4(Ipv4Addr::LOCALHOST),
            forced: false,
            presented: None,
            fault: None,
        }
    }

    #[test]
    fn overlapping_token_calls_are_counted_when_they_are_received() {
        let mut journal = Journal::new(10);
        let first = journal.received(call(Endpoint::Legacy), 0);
        journal.received(call(Endpoint::Probe), 1);
        journal.received(call(Endpoint::Stable), 2);
        journal.ended(first, Ending::Answered, 3);
        journal.received(call(Endpoint::Legacy), 4);
        let counts: Vec<_> = journal.records().map(|record| record.overlapping).collect();
        assert_eq!(counts, [1, 0, 2, 2]);
        assert_eq!(journal.summary("wx1").max_overlapping, 2);
        assert_eq!(journal.summary("wx1").calls, 3);
        assert_eq!(journal.summary("wx2"), Summary::default());
    }

    #[test]
    fn a_call_whose_caller_went_away_is_still_under_way_but_no_longer_awaited() {
        let mut journal = Journal::new(10);
        let first = journal.received(call(Endpoint::Legacy), 0);
        journal.caller_gone(first, 1);
        journal.received(call(Endpoint::Legacy), 2);
        let last = journal.records().last().unwrap();
        assert_eq!((last.overlapping, last.overlapping_awaited), (2, 1));
        journal.ended(first, Ending::CallerGone, 3);
        let summary = journal.summary("wx1");
        assert_eq!((summary.under_way, summary.awaited), (1, 1));
    }

    #[test]
    fn the_counts_stay_right_when_calls_are_forgotten() {
        let mut journal = Journal::new(2);
        let first = journal.received(call(Endpoint::Legacy), 0);
        for now_ms in 1..4 {
            journal.received(call(Endpoint::Legacy), now_ms);
        }
        journal.processed(first, Outcome::Issued { serial: 1 }, 5);
        journal.ended(first, Ending::Answered, 5);
        assert_eq!(journal.forgotten(), 2);
        assert_eq!(journal.records().count(), 2);
        let summary = journal.summary("wx1");
        assert_eq!((summary.calls, summary.issued, summary.under_way), (4, 1, 3));
    }
}

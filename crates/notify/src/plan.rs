//! What is to be told next to one receiver, and when.
//!
//! A trouble that began is told once it has lasted for a moment, in which others that began with it are gathered; one that
//! ended is told once it has been over for a while, and only if its beginning was told. What comes back soon after is told
//! later if it then still lasts, and what lasts for long is told again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use zhongkong_core::credential::Unit;

use crate::batch::{Batch, Change, Item, What};
use crate::problem::Problem;
use crate::rate::Sent;
use crate::record::Record;
use crate::trouble::{Key, Trouble};

/// The most troubles of one message: so many fields does the store change at once without holding anybody up.
const TOLD_AT_ONCE: usize = 2_000;
/// Whoever refreshes with the same secret does so once in a token's life of two hours; if nobody did for longer, it is over.
const FOREIGN_OVER_AFTER_MS: u64 = 3 * 3_600_000;
/// A trouble that showed for an instant only is still told within this time.
const NOTICED_FOR_MS: u64 = 600_000;

/// When a receiver is told. All times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Which problems.
    pub only: BTreeSet<Problem>,
    /// How long a beginning trouble is watched, and others that begin with it are gathered.
    pub group_wait_ms: u64,
    /// The least time between two messages about one problem at one address.
    pub group_interval_ms: u64,
    /// How long a trouble must be over before that is told.
    pub over_after_ms: u64,
    /// How soon after it was over a trouble may be told as begun again.
    pub again_after_ms: u64,
    /// After how long a trouble that lasts is told again.
    pub repeat_interval_ms: u64,
    /// The most messages a minute.
    pub a_minute: usize,
}

/// What a worker sees at one moment.
#[derive(Debug)]
pub struct Look<'a> {
    /// By the store's clock.
    pub now_ms: u64,
    /// Its identity.
    pub me: &'a str,
    /// What is wrong now.
    pub troubles: &'a [Trouble],
    /// The units of which the states are known: only of these can it say that something is over.
    pub known: &'a BTreeSet<Unit>,
    /// What the store holds for the receiver.
    pub stored: &'a BTreeMap<String, String>,
}

/// What is to be done next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be told now.
    pub batch: Option<Batch>,
    /// Records that change without a word.
    pub quiet: Vec<Change>,
    /// When to look again, if nothing happens before; none if there is nothing to wait for.
    pub look_at_ms: Option<u64>,
}

/// What a worker remembers between two looks: since when it sees what, for one receiver.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    seen_since_ms: BTreeMap<Key, u64>,
    gone_since_ms: BTreeMap<Key, u64>,
    noticed: BTreeMap<Key, (u64, Trouble)>,
}

/// Something that could be told, and from when.
#[derive(Clone, Debug)]
struct Candidate {
    what: What,
    /// From when a message is due because of it.
    due_ms: u64,
    /// From when it may be part of one that is due.
    ready_ms: u64,
    item: Item,
}

impl Candidate {
    /// What could be told of `trouble`, seen since `seen_ms`, of which `stored` is remembered.
    fn of(
        trouble: &Trouble,
        stored: Option<(&String, &Record)>,
        seen_ms: u64,
        look: &Look<'_>,
        rules: &Rules,
    ) -> Self {
        let record = stored.map(|(_, record)| record.clone()).unwrap_or_default();
        let (what, ready_ms, due_ms) = if record.is_open() {
            // Those of one day are told again together.
            let half_ms = rules.repeat_interval_ms / 2;
            let due_ms = record.told_ms + rules.repeat_interval_ms;
            (What::Reminder, record.told_ms + half_ms, due_ms)
        } else {
            let again_ms =
                if record.over_ms > 0 { record.over_ms + rules.again_after_ms } else { 0 };
            (What::Begun, again_ms, again_ms.max(seen_ms + rules.group_wait_ms))
        };
        let held_ms = record.held_until_ms(look.me, look.now_ms).max(record.not_before_ms);
        let item = Item {
            key: trouble.key.clone(),
            trouble: Some(trouble.clone()),
            stored: stored.map(|(text, _)| text.clone()),
            record,
        };
        Self { what, due_ms: due_ms.max(held_ms), ready_ms: ready_ms.max(held_ms), item }
    }
}

impl Memory {
    /// Takes note of a trouble that may be over at the next look, and is to be told all the same.
    pub fn notice(&mut self, trouble: Trouble, now_ms: u64) {
        self.noticed.insert(trouble.key.clone(), (now_ms, trouble));
    }

    /// Whether something is remembered of `unit`, so that news of it matter.
    pub fn concerns(&self, unit: &Unit) -> bool {
        self.seen_since_ms.keys().chain(self.gone_since_ms.keys()).any(|key| key.unit == *unit)
    }

    /// What is to be done next by `rules`.
    pub fn plan(&mut self, look: &Look<'_>, rules: &Rules) -> Plan {
        let Look { now_ms, me, .. } = *look;
        let records: BTreeMap<Key, (&String, Record)> = look
            .stored
            .iter()
            .filter_map(|(field, text)| Some((Key::parse(field)?, (text, Record::read(text)))))
            .collect();
        let mut troubles: BTreeMap<&Key, &Trouble> =
            look.troubles.iter().map(|trouble| (&trouble.key, trouble)).collect();
        self.noticed.retain(|key, (at_ms, _)| {
            let told = records.get(key).is_some_and(|(_, record)| record.told_ms >= *at_ms);
            !told && *at_ms + NOTICED_FOR_MS > now_ms
        });
        let Self { seen_since_ms, gone_since_ms, noticed } = self;
        for (key, (_, trouble)) in &*noticed {
            troubles.entry(key).or_insert(trouble);
        }
        let mut refuted = BTreeSet::new();
        troubles.retain(|key, trouble| {
            let record = records.get(*key).map(|(_, record)| record);
            let over = record.is_some_and(|record| record.is_refuted(trouble));
            if over {
                refuted.insert((*key).clone());
            }
            !over && rules.only.contains(&key.problem)
        });
        seen_since_ms.retain(|key, _| troubles.contains_key(key));
        gone_since_ms.retain(|key, _| records.contains_key(key) && !troubles.contains_key(key));

        let mut reasons: BTreeMap<&Unit, BTreeSet<Problem>> = BTreeMap::new();
        for key in troubles.keys().filter(|key| key.problem.is_refusal()) {
            reasons.entry(&key.unit).or_default().insert(key.problem);
        }
        let mut plan = Plan::default();
        let mut candidates = Vec::new();
        for (key, trouble) in &troubles {
            let seen_ms = *seen_since_ms.entry((*key).clone()).or_insert(now_ms);
            let stored = records.get(*key).map(|(text, record)| (*text, record));
            candidates.push(Candidate::of(trouble, stored, seen_ms, look, rules));
        }
        for (key, (text, record)) in &records {
            if troubles.contains_key(key) {
                continue;
            }
            let wanted = rules.only.contains(&key.problem);
            if wanted && !look.known.contains(&key.unit) {
                gone_since_ms.remove(key);
                continue;
            }
            let gone_ms = *gone_since_ms.entry(key.clone()).or_insert(now_ms);
            let over_after_ms = match key.problem {
                Problem::ForeignRefresh => rules.over_after_ms.max(FOREIGN_OVER_AFTER_MS),
                _ => rules.over_after_ms,
            };
            let due_ms = if record.over_ms > 0 {
                record.over_ms + rules.again_after_ms
            } else {
                gone_ms + over_after_ms
            };
            let due_ms = due_ms.max(record.held_until_ms(me, now_ms)).max(record.not_before_ms);
            // A unit that is refused for another reason now is not well: its last trouble ends with a word.
            let mut others = reasons.get(&key.unit).into_iter().flatten();
            let otherwise = key.problem.is_refusal() && others.any(|other| *other != key.problem);
            if wanted && record.is_open() && !otherwise {
                let item = Item {
                    key: key.clone(),
                    trouble: None,
                    stored: Some((*text).clone()),
                    record: record.clone(),
                };
                let ready_ms = due_ms;
                candidates.push(Candidate { what: What::Over, due_ms, ready_ms, item });
            } else if wanted && record.over_ms > 0 && refuted.contains(key) {
                // What was told is what tells that it is no news.
            } else if !wanted || due_ms <= now_ms {
                // Told to nobody, told long ago, or to end without a word.
                let closed = Record { over_ms: now_ms, ..record.clone() };
                let becomes = (wanted && record.is_open()).then(|| closed.write());
                let was = Some((*text).clone());
                plan.quiet.push(Change { field: key.to_string(), was, becomes });
            } else {
                plan.look_at(due_ms);
            }
        }
        plan.quiet.truncate(TOLD_AT_ONCE);
        plan.choose(candidates, look, rules, &records);
        plan
    }
}

impl Plan {
    fn look_at(&mut self, at_ms: u64) {
        self.look_at_ms = Some(self.look_at_ms.map_or(at_ms, |before| before.min(at_ms)));
    }

    /// Takes the group that is due first; it is told now, or is what is waited for.
    fn choose(
        &mut self,
        candidates: Vec<Candidate>,
        look: &Look<'_>,
        rules: &Rules,
        records: &BTreeMap<Key, (&String, Record)>,
    ) {
        let now_ms = look.now_ms;
        let mut groups: BTreeMap<(What, Problem, Option<IpAddr>), Vec<Candidate>> = BTreeMap::new();
        for candidate in candidates {
            let Key { problem, address, .. } = candidate.item.key;
            groups.entry((candidate.what, problem, address)).or_default().push(candidate);
        }
        let of_group = |problem: Problem, address: Option<IpAddr>| {
            let all = records.iter();
            all.filter(move |(key, _)| key.problem == problem && key.address == address)
                .map(|(_, (_, record))| record)
        };
        let dues = groups.iter().map(|(group, members)| {
            let (what, problem, address) = *group;
            let first_ms = members.iter().map(|member| member.due_ms).min().unwrap_or(now_ms);
            let before_ms = of_group(problem, address).map(|record| match what {
                What::Begun => record.told_ms,
                What::Over => record.over_ms,
                What::Reminder => 0,
            });
            let spaced_ms = match before_ms.max() {
                None | Some(0) => 0,
                Some(before_ms) => before_ms.min(now_ms) + rules.group_interval_ms,
            };
            (first_ms.max(spaced_ms), *group)
        });
        let Some((due_ms, group)) = dues.min() else { return };
        let sent = Sent::read(look.stored.get(Sent::FIELD).map(String::as_str));
        let due_ms = due_ms.max(sent.room_at_ms(rules.a_minute, now_ms));
        if due_ms > now_ms {
            self.look_at(due_ms);
            return;
        }
        let (what, problem, address) = group;
        let members = groups.remove(&group).unwrap_or_default();
        let ready = members.into_iter().filter(|member| member.ready_ms <= now_ms);
        let mut items: Vec<Item> = ready.map(|member| member.item).collect();
        items.truncate(TOLD_AT_ONCE);
        let open = of_group(problem, address).filter(|record| record.is_open()).count();
        let others = match what {
            What::Begun => open,
            What::Over | What::Reminder => open.saturating_sub(items.len()),
        };
        self.batch = Some(Batch { what, problem, address, items, others, now_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, unit};

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;

    /// A cluster of workers with one store, one receiver, and a clock.
    struct World {
        now_ms: u64,
        stored: BTreeMap<String, String>,
        troubles: Vec<Trouble>,
        known: BTreeSet<Unit>,
        workers: BTreeMap<&'static str, Memory>,
        rules: Rules,
        step_ms: u64,
    }

    fn trouble(problem: Problem, id: &str) -> Trouble {
        Trouble {
            key: Key { problem, unit: unit(id), address: None },
            workers: BTreeSet::new(),
            answered: String::new(),
            met_ms: u64::MAX,
            code: None,
            said: String::new(),
            layout: String::new(),
            expires_at_ms: 0,
            retry_at_ms: 0,
            paused: false,
        }
    }

    impl World {
        fn new() -> Self {
            let rules = Rules {
                only: Problem::ALL.into_iter().collect(),
                group_wait_ms: 5_000,
                group_interval_ms: 5 * MINUTE,
                over_after_ms: MINUTE,
                again_after_ms: HOUR,
                repeat_interval_ms: 24 * HOUR,
                a_minute: 18,
            };
            let known = (0..3_000).map(|n| unit(&format!("wx{n}"))).collect();
            Self {
                now_ms: NOW,
                stored: BTreeMap::new(),
                troubles: Vec::new(),
                known,
                workers: BTreeMap::new(),
                rules,
                step_ms: 1_000,
            }
        }

        fn begin(&mut self, problem: Problem, id: &str) {
            self.troubles.push(trouble(problem, id));
        }

        fn end(&mut self, problem: Problem, id: &str) {
            self.troubles.retain(|t| t.key.problem != problem || t.key.unit != unit(id));
        }

        fn plan(&mut self, me: &'static str) -> Plan {
            let Self { now_ms, stored, troubles, known, workers, rules, .. } = self;
            let look = Look { now_ms: *now_ms, me, troubles, known, stored };
            workers.entry(me).or_default().plan(&look, rules)
        }

        /// Makes the changes; false if one of the fields is not what it was.
        fn swap(&mut self, changes: &[Change]) -> bool {
            if changes.iter().any(|change| self.stored.get(&change.field) != change.was.as_ref()) {
                return false;
            }
            for Change { field, becomes, .. } in changes.iter().cloned() {
                match becomes {
                    Some(text) => drop(self.stored.insert(field, text)),
                    None => drop(self.stored.remove(&field)),
                }
            }
            true
        }

        fn claim(&mut self, me: &'static str) -> Option<Batch> {
            let Plan { batch, quiet, .. } = self.plan(me);
            assert!(self.swap(&quiet));
            let mut batch = batch?;
            let mut sent = self.stored.get(Sent::FIELD).cloned();
            let changes = batch.claim(me, self.now_ms, self.now_ms + 10_000, &mut sent);
            assert!(self.swap(&changes));
            Some(batch)
        }

        /// Lets `me` do what it does for so long; what it told, and of how many units.
        fn run(&mut self, me: &'static str, for_ms: u64) -> Vec<(What, Problem, usize)> {
            let (mut told, end_ms) = (Vec::new(), self.now_ms + for_ms);
            // Nobody looks at each second of two days.
            let step_ms = self.step_ms.max(for_ms / 4_000);
            while self.now_ms < end_ms {
                if let Some(mut batch) = self.claim(me) {
                    told.push((batch.what, batch.problem, batch.items.len()));
                    let changes = batch.told(self.now_ms);
                    assert!(self.swap(&changes));
                }
                self.now_ms += step_ms;
            }
            told
        }
    }

    use Problem::{
        AccountFrozen, AwaitingAdmin, Blocked, ForeignRefresh, Misconfigured, TokenLost,
    };
    use What::{Begun, Over, Reminder};

    #[test]
    fn what_begins_is_told_once_and_what_ends_is_told_once() {
        let mut world = World::new();
        assert_eq!(world.run("a", HOUR), []);
        world.begin(AccountFrozen, "wx1");
        assert_eq!(world.run("a", 4_000), [], "others may begin with it");
        assert_eq!(world.run("a", HOUR), [(Begun, AccountFrozen, 1)]);
        assert_eq!(world.run("b", HOUR), [], "another worker knows that it was told");
        world.end(AccountFrozen, "wx1");
        assert_eq!(world.run("b", 59_000), [], "it may come back");
        assert_eq!(world.run("b", HOUR), [(Over, AccountFrozen, 1)]);
        assert_eq!(world.run("a", 48 * HOUR), []);
        let left: Vec<&String> = world.stored.keys().collect();
        assert_eq!(left, ["sent"], "nothing is remembered for ever");
    }

    #[test]
    fn what_lasts_for_an_instant_is_not_told() {
        let mut world = World::new();
        world.begin(TokenLost, "wx1");
        assert_eq!(world.run("a", 3_000), []);
        world.end(TokenLost, "wx1");
        assert_eq!(world.run("a", HOUR), []);
    }

    #[test]
    fn what_was_noticed_in_an_instant_is_told_all_the_same() {
        let mut world = World::new();
        world.plan("a");
        let foreign = trouble(ForeignRefresh, "wx1");
        world.workers.get_mut("a").unwrap().notice(foreign, NOW);
        assert_eq!(world.run("a", HOUR), [(Begun, ForeignRefresh, 1)]);
        // Longer than a token's life has to pass before it is thought to be over.
        assert_eq!(world.run("a", HOUR), []);
        assert_eq!(world.run("a", 2 * HOUR), [(Over, ForeignRefresh, 1)]);
    }

    #[test]
    fn a_restart_of_all_workers_tells_nothing_again() {
        let mut world = World::new();
        world.begin(Misconfigured, "wx1");
        assert_eq!(world.run("a", HOUR), [(Begun, Misconfigured, 1)]);
        world.workers.clear();
        assert_eq!(world.run("a", HOUR), []);
    }

    #[test]
    fn whoever_dies_before_it_tells_is_replaced_when_its_claim_ends() {
        let mut world = World::new();
        world.begin(AccountFrozen, "wx1");
        world.plan("a");
        world.plan("b");
        world.now_ms += 5_000;
        let mut dead = world.claim("a").unwrap();
        assert_eq!(world.claim("b"), None);
        assert_eq!(world.plan("b").look_at_ms, Some(world.now_ms + 10_000));
        world.now_ms += 10_000;
        let mut other = world.claim("b").unwrap();
        assert_eq!(other.id(), dead.id(), "the receiver can tell that it is the same");
        let changes = other.told(world.now_ms);
        assert!(world.swap(&changes));
        // One that was only slow finds that it was replaced.
        let changes = dead.told(world.now_ms);
        assert!(!world.swap(&changes));
        assert_eq!(world.run("a", HOUR), []);
    }

    #[test]
    fn of_two_that_decide_the_same_at_once_one_gets_its_way() {
        let mut world = World::new();
        world.begin(AccountFrozen, "wx1");
        world.plan("a");
        world.plan("b");
        world.now_ms += 5_000;
        let [mut a, mut b] = ["a", "b"].map(|me| world.plan(me).batch.unwrap());
        let until_ms = world.now_ms + 10_000;
        let changes = a.claim("a", world.now_ms, until_ms, &mut None);
        assert!(world.swap(&changes));
        let changes = b.claim("b", world.now_ms, until_ms, &mut None);
        assert!(!world.swap(&changes));
    }

    #[test]
    fn what_could_not_be_told_before_it_ended_is_never_told() {
        let mut world = World::new();
        world.begin(AccountFrozen, "wx1");
        world.plan("a");
        world.now_ms += 5_000;
        let mut batch = world.claim("a").unwrap();
        let changes = batch.put_off(world.now_ms + 30_000);
        assert!(world.swap(&changes));
        assert_eq!(batch.failures(), 1);
        assert_eq!(world.run("a", 29_000), [], "it waits as it was told to");
        world.end(AccountFrozen, "wx1");
        assert_eq!(world.run("a", HOUR), []);
    }

    #[test]
    fn what_comes_back_within_the_hour_is_told_later_and_only_if_it_lasts() {
        let mut world = World::new();
        world.begin(AccountFrozen, "wx1");
        assert_eq!(world.run("a", 10_000), [(Begun, AccountFrozen, 1)]);
        world.end(AccountFrozen, "wx1");
        assert_eq!(world.run("a", 10 * MINUTE), [(Over, AccountFrozen, 1)]);
        for _ in 0..4 {
            world.begin(AccountFrozen, "wx1");
            assert_eq!(world.run("a", 5 * MINUTE), []);
            world.end(AccountFrozen, "wx1");
            assert_eq!(world.run("a", 5 * MINUTE), []);
        }
        world.begin(AccountFrozen, "wx1");
        assert_eq!(world.run("a", 2 * HOUR), [(Begun, AccountFrozen, 1)]);
    }

    #[test]
    fn what_lasts_is_told_again_each_day_and_together() {
        let mut world = World::new();
        world.begin(AccountFrozen, "wx1");
        assert_eq!(world.run("a", 10 * MINUTE).len(), 1);
        world.begin(AccountFrozen, "wx2");
        assert_eq!(world.run("a", 10 * MINUTE).len(), 1);
        assert_eq!(world.run("a", 49 * HOUR), [(Reminder, AccountFrozen, 2); 2]);
    }

    #[test]
    fn three_hundred_at_once_are_one_message_and_later_ones_are_gathered() {
        let mut world = World::new();
        for n in 0..300 {
            world.begin(Misconfigured, &format!("wx{n}"));
        }
        assert_eq!(world.run("a", 10_000), [(Begun, Misconfigured, 300)]);
        // The rest falls due over two hours, one after the other.
        world.step_ms = 20_000;
        let mut later = Vec::new();
        for n in 300..420 {
            world.begin(Misconfigured, &format!("wx{n}"));
            later.extend(world.run("a", MINUTE));
        }
        assert!(later.len() <= 25, "{later:?}");
        assert!(later.iter().map(|(_, _, units)| units).sum::<usize>() > 110);
    }

    #[test]
    fn a_message_about_thousands_claims_no_more_than_the_store_changes_at_once() {
        let mut world = World::new();
        for n in 0..2_500 {
            world.begin(TokenLost, &format!("wx{n}"));
        }
        let told = world.run("a", 6 * MINUTE);
        assert_eq!(told, [(Begun, TokenLost, TOLD_AT_ONCE), (Begun, TokenLost, 500)]);
    }

    #[test]
    fn one_problem_that_becomes_another_ends_when_the_last_is_over() {
        let mut world = World::new();
        world.begin(AwaitingAdmin, "wx1");
        assert_eq!(world.run("a", HOUR), [(Begun, AwaitingAdmin, 1)]);
        world.end(AwaitingAdmin, "wx1");
        world.begin(Blocked, "wx1");
        assert_eq!(world.run("a", HOUR), [(Begun, Blocked, 1)]);
        world.end(Blocked, "wx1");
        assert_eq!(world.run("a", HOUR), [(Over, Blocked, 1)]);
    }

    #[test]
    fn nobody_says_of_a_unit_that_it_does_not_know_that_it_is_well() {
        let mut world = World::new();
        world.begin(AccountFrozen, "wx1");
        assert_eq!(world.run("a", HOUR).len(), 1);
        world.troubles.clear();
        world.known.clear();
        assert_eq!(world.run("b", 48 * HOUR), []);
    }

    #[test]
    fn an_address_that_lets_one_worker_through_is_over_for_all_that_were_refused_there() {
        let mut world = World::new();
        let mut refused = trouble(Problem::IpNotAllowed, "wx1");
        refused.key.address = Some("10.0.0.7".parse().unwrap());
        refused.workers = ["worker-1", "worker-2"].map(ToOwned::to_owned).into();
        refused.met_ms = NOW;
        world.troubles = vec![refused];
        assert_eq!(world.run("a", HOUR), [(Begun, Problem::IpNotAllowed, 1)]);
        // The other's refusal stands until its turn comes.
        world.troubles[0].workers.remove("worker-1");
        world.troubles[0].answered = "worker-3".to_owned();
        assert_eq!(world.run("a", HOUR), [], "that one may call from elsewhere");
        world.troubles[0].answered = "worker-1".to_owned();
        assert_eq!(world.run("a", HOUR), [(Over, Problem::IpNotAllowed, 1)]);
        world.troubles[0].answered = "worker-3".to_owned();
        world.step_ms = 10_000;
        assert_eq!(world.run("a", 30 * HOUR), [], "it is no news");
        world.troubles[0].met_ms = world.now_ms;
        assert_eq!(world.run("a", HOUR), [(Begun, Problem::IpNotAllowed, 1)]);
    }

    #[test]
    fn what_nobody_asked_for_is_not_told() {
        let mut world = World::new();
        world.rules.only = [TokenLost].into_iter().collect();
        world.begin(AccountFrozen, "wx1");
        world.begin(TokenLost, "wx1");
        assert_eq!(world.run("a", HOUR), [(Begun, TokenLost, 1)]);
    }

    #[test]
    fn a_robot_gets_no_more_than_it_takes_in_a_minute() {
        let mut world = World::new();
        world.rules.group_interval_ms = 0;
        world.rules.group_wait_ms = 0;
        let mut told = 0;
        for n in 0..60 {
            world.begin(AccountFrozen, &format!("wx{n}"));
            told += world.run("a", 1_000).len();
        }
        assert_eq!(told, 18);
    }
}

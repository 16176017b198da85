//! A message: what a person reads, and what a program reads of the same.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use zhongkong_core::credential::{Kind, Unit};

use crate::batch::{Batch, Item, What};
use crate::language::Language;
use crate::problem::Problem;
use crate::trouble::Trouble;
use crate::words::{PAUSED, RESUME, Words, meaning_and_advice, words};

/// The most names in a message for people, and the most bytes that they may take.
const NAMES_MAX: usize = 20;
const NAMES_BYTES_MAX: usize = 1_000;
/// The most units in a message for programs.
const UNITS_MAX: usize = 100;

/// One message, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Names it: the same for each try.
    pub id: String,
    /// Whether something is wrong; if not, it is good news, or a test.
    pub is_alarm: bool,
    /// One line; it has the program's name, by which robots may be told to know it.
    pub title: String,
    /// What is said, and what it is: "what to do", and what to do.
    pub lines: Vec<(&'static str, String)>,
    /// The same for programs.
    pub data: Data,
}

/// What programs are told. Instants in milliseconds since 1970, by Redis' clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Data {
    /// `begun`, `reminder`, `over` or `test`.
    #[serde(rename = "type")]
    pub what: &'static str,
    /// What is wrong, or was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<&'static str>,
    /// When this was put into words.
    pub time_ms: u64,
    /// The address that the platform named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How many units this is about.
    pub count: usize,
    /// The first of them.
    pub units: Vec<UnitData>,
}

/// One unit, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitData {
    /// The credential.
    pub id: String,
    /// Which of its tokens.
    pub kind: &'static str,
    /// When the trouble began.
    pub since_ms: u64,
    /// The workers that it concerns; empty = all.
    pub workers: Vec<String>,
    /// The platform's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// The platform's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The SDK at whose key somebody else's token was found, by the name of its layout.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub layout: String,
    /// When the token ends that readers still have; 0 = they have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
}

impl What {
    /// The name for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Reminder => "reminder",
            Self::Over => "over",
        }
    }
}

impl Message {
    /// `batch`, in words.
    pub fn new(batch: &Batch, language: Language) -> Self {
        let Batch { what, problem, address, items, now_ms, .. } = batch;
        let say = |en, zh| language.say(en, zh);
        let name = language.pick(words(*problem).name);
        let address = address.map(|address| address.to_string());
        let at = address.as_ref().map_or_else(String::new, |address| match language {
            Language::English => format!(" ({address})"),
            Language::Chinese => format!("（{address}）"),
        });
        let who = match (items.as_slice(), language) {
            ([item], _) => unit_name(&item.key.unit),
            (items, Language::English) => format!("{} accounts", items.len()),
            (items, Language::Chinese) => format!("{} 个账号", items.len()),
        };
        let state = match what {
            What::Begun => "",
            What::Reminder => say("still: ", "仍未恢复："),
            What::Over => say("over: ", "已恢复："),
        };
        let title = match language {
            Language::English => format!("zhongkong: {state}{name}{at}: {who}"),
            Language::Chinese => format!("zhongkong：{state}{name}{at}：{who}"),
        };
        let units = items.iter().take(UNITS_MAX).map(|item| UnitData::new(item, *what));
        Self {
            id: batch.id(),
            is_alarm: *what != What::Over,
            title,
            lines: lines(batch, language),
            data: Data {
                what: what.as_str(),
                problem: Some(problem.as_str()),
                time_ms: *now_ms,
                address,
                count: items.len(),
                units: units.collect(),
            },
        }
    }

    /// A message that somebody sends by hand, from `worker`, to see whether it arrives.
    pub fn test(receiver: &str, worker: &str, now_ms: u64, language: Language) -> Self {
        let say = |en, zh| language.say(en, zh);
        let text = match language {
            Language::English => format!(
                "sent by hand from {worker} by `zhongkong notify --test`: if you read this, notifications for \
                 {receiver} arrive here"
            ),
            Language::Chinese => format!(
                "由 {worker} 手动执行 `zhongkong notify --test` 发送：看到本消息，说明 {receiver} 的通知可以送达此处"
            ),
        };
        Self {
            id: format!("msg_test_{now_ms}"),
            is_alarm: false,
            title: say("zhongkong: test message", "zhongkong：测试消息").to_owned(),
            lines: vec![
                (say("Test", "测试"), text),
                (say("What to do", "处理办法"), say("nothing", "无需处理").to_owned()),
            ],
            data: Data {
                what: "test",
                problem: None,
                time_ms: now_ms,
                address: None,
                count: 0,
                units: Vec::new(),
            },
        }
    }

    /// As plain text.
    pub fn text(&self, language: Language) -> String {
        let colon = language.say(": ", "：");
        let lines = self.lines.iter().map(|(what, text)| format!("\n{what}{colon}{text}"));
        std::iter::once(self.title.clone()).chain(lines).collect()
    }

    /// Lines of Markdown as the robots understand it, without the title; at most `max` bytes.
    pub fn markdown(&self, language: Language, max: usize) -> String {
        let colon = language.say(": ", "：");
        let mut all = String::new();
        for (what, text) in &self.lines {
            let line = format!("**{what}**{colon}{}\n\n", plain(text));
            if all.len() + line.len() > max {
                break;
            }
            all.push_str(&line);
        }
        all.truncate(all.trim_end().len());
        all
    }
}

/// `text` without what chats take for markup, mentions of people, or links.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '<' | '[' => '(',
            '>' | ']' => ')',
            '*' | '#' | '~' | '\\' | '\n' | '\r' | '|' => ' ',
            c => c,
        })
        .collect()
}

impl UnitData {
    fn new(item: &Item, what: What) -> Self {
        let Unit { id, kind } = &item.key.unit;
        let trouble = item.trouble.as_ref();
        Self {
            id: id.to_string(),
            kind: kind.as_str(),
            since_ms: item.since_ms(),
            workers: trouble.map(|t| t.workers.iter().cloned().collect()).unwrap_or_default(),
            code: trouble.and_then(|trouble| trouble.code),
            message: trouble.map(|trouble| trouble.said.clone()).unwrap_or_default(),
            layout: trouble.map(|trouble| trouble.layout.clone()).unwrap_or_default(),
            expires_at_ms: trouble.filter(|_| what != What::Over).map(|t| t.expires_at_ms),
        }
    }
}

fn unit_name(unit: &Unit) -> String {
    if unit.kind == Kind::AccessToken {
        unit.id.to_string()
    } else {
        format!("{} ({})", unit.id, unit.kind)
    }
}

/// The names of the units, as many as fit, and how many more there are.
fn names(items: &[Item], language: Language) -> String {
    let (mut text, mut told) = (String::new(), 0);
    for item in items.iter().take(NAMES_MAX) {
        let name = unit_name(&item.key.unit);
        if text.len() + name.len() > NAMES_BYTES_MAX {
            break;
        }
        if told > 0 {
            text.push_str(language.say(", ", "、"));
        }
        text.push_str(&name);
        told += 1;
    }
    match (items.len() - told, language) {
        (0, _) => text,
        (more, Language::English) => format!("{text} and {more} more"),
        (more, Language::Chinese) => format!("{text} 等，另有 {more} 个"),
    }
}

fn lines(batch: &Batch, language: Language) -> Vec<(&'static str, String)> {
    let Batch { what, problem, items, others, now_ms, .. } = batch;
    let say = |en, zh| language.say(en, zh);
    let mut lines = vec![(say("Accounts", "账号"), names(items, language))];
    let lasted_ms = items.iter().map(|item| item.lasted_ms(*now_ms)).max().unwrap_or(0);
    let lasted = span(lasted_ms);
    let others = match (*others, language) {
        (0, _) => None,
        (1, Language::English) => {
            Some("as was told before, one more account has the same problem".to_owned())
        }
        (others, Language::English) => {
            Some(format!("as was told before, {others} more accounts have the same problem"))
        }
        (others, Language::Chinese) => {
            Some(format!("此前已通知的另外 {others} 个账号仍有同样问题"))
        }
    };
    let Words { workers_do, over, .. } = words(*problem);
    if *what == What::Over {
        lines.push((say("What happened", "情况"), language.pick(over).to_owned()));
        lines.push((say("It lasted", "持续"), lasted));
        lines.extend(others.map(|others| (say("Besides", "另外"), others)));
        lines.push((say("What to do", "处理办法"), say("nothing", "无需处理").to_owned()));
        return lines;
    }
    let troubles: Vec<&Trouble> = items.iter().filter_map(|item| item.trouble.as_ref()).collect();
    let code = troubles.iter().find_map(|trouble| trouble.code);
    let (meaning, advice) = meaning_and_advice(*problem, code);
    let code = code.map_or_else(String::new, |code| match language {
        Language::English => format!(" ({code})"),
        Language::Chinese => format!("（{code}）"),
    });
    lines.push((say("What happened", "情况"), format!("{}{code}", language.pick(meaning))));
    if let Some(trouble) = troubles.iter().find(|trouble| !trouble.said.is_empty()) {
        lines.push((say("The platform said", "平台返回"), trouble.said.clone()));
    }
    let layouts: BTreeSet<&str> = troubles.iter().map(|trouble| trouble.layout.as_str()).collect();
    let layouts: Vec<&str> = layouts.into_iter().filter(|layout| !layout.is_empty()).collect();
    if !layouts.is_empty() {
        lines.push((say("Found at the keys of", "发现于其键"), few(&layouts, language)));
    }
    let mut workers: Vec<&str> =
        troubles.iter().flat_map(|t| t.workers.iter().map(String::as_str)).collect();
    workers.sort_unstable();
    workers.dedup();
    if !workers.is_empty() {
        lines.push((say("Met by", "涉及 worker"), few(&workers, language)));
    }
    if *what == What::Reminder {
        lines.push((say("It has lasted", "已持续"), lasted));
    }
    lines.extend(others.map(|others| (say("Besides", "另外"), others)));
    if *problem != Problem::TokenLost {
        lines.push((say("Readers", "读取方"), readers(&troubles, *now_ms, language)));
    }
    let paused = troubles.iter().all(|trouble| trouble.paused);
    let workers_do = if paused { PAUSED } else { workers_do };
    lines.push((say("The workers", "worker"), language.pick(workers_do).to_owned()));
    let lost_in_a_pause = paused && *problem == Problem::TokenLost;
    let advice = language.pick(if lost_in_a_pause { RESUME } else { advice });
    lines.push((say("What to do", "处理办法"), advice.to_owned()));
    lines
}

/// The first few of `names`.
fn few(names: &[&str], language: Language) -> String {
    const FEW: usize = 8;
    let told = names.get(..FEW.min(names.len())).unwrap_or_default();
    let told = told.join(language.say(", ", "、"));
    match (names.len().saturating_sub(FEW), language) {
        (0, _) => told,
        (more, Language::English) => format!("{told} and {more} more"),
        (more, Language::Chinese) => format!("{told} 等，另有 {more} 个"),
    }
}

/// What readers have, and for how long.
fn readers(troubles: &[&Trouble], now_ms: u64, language: Language) -> String {
    let without = troubles.iter().filter(|trouble| trouble.expires_at_ms == 0).count();
    let first_ms = troubles.iter().map(|t| t.expires_at_ms).filter(|at_ms| *at_ms > 0).min();
    let left = first_ms.map(|at_ms| span(at_ms.saturating_sub(now_ms)));
    let one = troubles.len() == 1;
    match (left, without, language) {
        (Some(left), 0, Language::English) if one => {
            format!("keep the token that they have, which lives for another {left}")
        }
        (Some(left), 0, Language::Chinese) if one => {
            format!("继续使用现有 token，剩余有效期 {left}")
        }
        (Some(left), 0, Language::English) => {
            format!("keep the tokens that they have; the first of them ends in {left}")
        }
        (Some(left), 0, Language::Chinese) => {
            format!("继续使用现有 token，其中最早的将在 {left} 后过期")
        }
        (Some(left), without, Language::English) => format!(
            "{without} accounts have no valid token now; of the others, the first token ends in {left}"
        ),
        (Some(left), without, Language::Chinese) => {
            format!("{without} 个账号已无有效 token；其余账号中最早的将在 {left} 后过期")
        }
        (None, _, Language::English) => "have no valid token now".to_owned(),
        (None, _, Language::Chinese) => "已无有效 token".to_owned(),
    }
}

/// A duration as people say it: the seconds of long ones say nothing.
fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    let seconds = if seconds >= 300 { seconds - seconds % 60 } else { seconds };
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use zhongkong_core::refusal::{Scope, Status};

    use super::*;
    use crate::record::Record;
    use crate::testing::{NOW, refused, unit};
    use crate::trouble::troubles;

    fn batch(what: What, ids: &[String]) -> Batch {
        let mut state = refused(Scope::Worker, Status::IpNotAllowed, "worker-2#01");
        state.fingerprint = Some(zhongkong_core::token::Fingerprint::of("T"));
        state.expires_at_ms = NOW + 4_330_000;
        let items = ids.iter().map(|id| {
            let trouble = troubles(&unit(id), &state, NOW, &["worker-2#01".to_owned()]).remove(0);
            Item {
                key: trouble.key.clone(),
                trouble: (what != What::Over).then_some(trouble),
                stored: None,
                record: Record { since_ms: NOW - 7_384_000, told_ms: 1, ..Record::default() },
            }
        });
        Batch {
            what,
            problem: Problem::IpNotAllowed,
            address: Some("10.0.0.7".parse().unwrap()),
            items: items.collect(),
            others: 0,
            now_ms: NOW,
        }
    }

    #[test]
    fn a_service_that_fetched_for_itself_is_named_by_its_sdk() {
        let mut batch = batch(What::Begun, &["wx1".to_owned()]);
        (batch.problem, batch.address) = (Problem::ForeignRefresh, None);
        batch.items[0].trouble.as_mut().unwrap().layout = "wechatpy".to_owned();
        let message = Message::new(&batch, Language::English);
        assert!(message.text(Language::English).contains("\nFound at the keys of: wechatpy\n"));
        assert_eq!(message.data.units[0].layout, "wechatpy");
    }

    #[test]
    fn a_message_says_what_happened_to_whom_what_is_done_about_it_and_what_to_do() {
        let message = Message::new(&batch(What::Begun, &["wx1".to_owned()]), Language::English);
        assert_eq!(
            message.text(Language::English),
            "zhongkong: address not on the IP list (10.0.0.7): wx1\n\
             Accounts: wx1\n\
             What happened: the worker's address is not on the account's IP list (40164)\n\
             The platform said: invalid ip 10.0.0.7 ipv6 ::ffff:10.0.0.7, not in whitelist rid: 1-2-3\n\
             Met by: worker-2\n\
             Readers: keep the token that they have, which lives for another 1h 12m\n\
             The workers: try again by themselves, at a gentle pace; workers that call from other addresses carry on\n\
             What to do: add the address to the IP list in the account's console; the worker tries again by itself"
        );
        let message = Message::new(&batch(What::Over, &["wx1".to_owned()]), Language::Chinese);
        assert_eq!(
            message.text(Language::Chinese),
            "zhongkong：已恢复：出口 IP 不在白名单（10.0.0.7）：wx1\n账号：wx1\n\
             情况：已没有 worker 因该 IP 被拒绝\n持续：2h 3m\n处理办法：无需处理"
        );
        assert!(!message.is_alarm);
    }

    #[test]
    fn many_accounts_are_one_message_with_a_few_names() {
        let ids: Vec<String> = (0..300).map(|n| format!("wx{n:03}")).collect();
        for (language, more) in [
            (Language::English, "wx019 and 280 more"),
            (Language::Chinese, "wx019 等，另有 280 个"),
        ] {
            let message = Message::new(&batch(What::Begun, &ids), language);
            assert!(message.title.contains("300"), "{}", message.title);
            let text = message.text(language);
            assert!(text.contains(more), "{text}");
            assert!(text.len() < 2_000, "{text}");
            assert_eq!((message.data.count, message.data.units.len()), (300, UNITS_MAX));
        }
    }

    #[test]
    fn the_longest_names_and_words_fit_into_what_robots_take() {
        let ids: Vec<String> = (0..300).map(|n| format!("{n:0>128}")).collect();
        let mut batch = batch(What::Reminder, &ids);
        for item in &mut batch.items {
            item.trouble.as_mut().unwrap().said = "拒".repeat(256);
        }
        let message = Message::new(&batch, Language::English);
        let text = message.markdown(Language::English, 4_000);
        assert!(text.len() <= 4_000 && text.contains("**What to do**"), "{} {text}", text.len());
    }

    #[test]
    fn what_the_platform_says_cannot_mention_people_or_make_links() {
        assert_eq!(
            plain("<at id=all></at> @all [x](http://y) *b* a_b"),
            "(at id=all)(/at) @all (x)(http://y)  b  a_b"
        );
    }

    #[test]
    fn the_same_news_have_the_same_name_whoever_sends_them() {
        let one = batch(What::Begun, &["wx1".to_owned()]);
        let mut again = one.clone();
        again.items[0].record.holder = "another".to_owned();
        assert_eq!(one.id(), again.id());
        assert_ne!(one.id(), batch(What::Over, &["wx1".to_owned()]).id());
    }
}

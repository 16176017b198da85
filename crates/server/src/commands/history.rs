//! `history`: who refreshed a credential's tokens, why, and with which outcome.

use jiff::tz::TimeZone;
use zhongkong_core::credential::{CredentialId, Kind, Unit};
use zhongkong_core::ports::Store;
use zhongkong_redis::{History, HistoryPage};

use super::target::unknown;
use crate::config::Config;
use crate::history::Line;
use crate::language::Language;
use crate::terminal::{self, Exit, answer, complain_of_redis};
use crate::wiring;

pub(crate) async fn history(
    config: &Config,
    (id, kind): (CredentialId, Option<Kind>),
    limit: usize,
    as_json: bool,
    language: Language,
) -> anyhow::Result<Exit> {
    let store = wiring::store(&config.redis);
    let page = HistoryPage { kind, before: None, limit };
    let History { entries, more, now_ms } = match store.history(&id, page).await {
        Ok(history) => history,
        Err(error) => return Ok(complain_of_redis(&error, language)),
    };
    if entries.is_empty() && !config.credentials.iter().any(|credential| credential.id == id) {
        let units: Vec<Unit> =
            Kind::ALL.into_iter().map(|kind| Unit { id: id.clone(), kind }).collect();
        match store.read(&units).await {
            Ok(read) if read.iter().flatten().any(|reading| reading.state.exists()) => {}
            Ok(_) => return Ok(unknown(&id, language)),
            Err(error) => return Ok(complain_of_redis(&error, language)),
        }
    }
    let lines: Vec<Line> =
        entries.into_iter().map(|entry| Line::new(&id, entry, language)).collect();
    if as_json {
        answer(&serde_json::to_string_pretty(&lines)?);
        return Ok(Exit::Done);
    }
    if lines.is_empty() {
        answer(&match language {
            Language::English => format!(
                "{id}: nothing is recorded yet. Workers write it as it happens; `zhongkong status {id}` says how it is now"
            ),
            Language::Chinese => {
                format!(
                    "{id}：尚无记录。worker 会在事件发生时写入；当前状态见 `zhongkong status {id}`"
                )
            }
        });
        return Ok(Exit::Done);
    }
    answer(&table(&lines, now_ms, language));
    if more {
        answer(&match language {
            Language::English => format!("\nthe last {limit}; --limit shows more"),
            Language::Chinese => format!("\n仅显示最近 {limit} 条；用 --limit 显示更多"),
        });
    }
    Ok(Exit::Done)
}

fn table(lines: &[Line], now_ms: u64, language: Language) -> String {
    let zone = TimeZone::system();
    let mut table = terminal::table([
        language.say("WHEN", "时间"),
        language.say("AGO", "距今"),
        language.say("KIND", "种类"),
        language.say("WHAT", "事件"),
        language.say("BY", "执行者"),
        language.say("WHY", "原因"),
        language.say("OUTCOME", "结果"),
    ]);
    for line in lines {
        table.add_row(line.cells(now_ms, &zone, language));
    }
    table.trim_fmt()
}

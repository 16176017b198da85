//! The Lua sources: the shared prelude, and one script per atomic operation.

use std::sync::LazyLock;

use redis::{Pipeline, Script};
use zhongkong_core::credential::Unit;

use crate::keys::Keys;

/// How every script is run: also when memory is full. What it writes are a few fields in place of others, and readers
/// would lose their token for want of them. Whatever else is wrong, it is refused as a whole, before its first write.
const SHEBANG: &str = "#!lua flags=allow-oom";
/// What stands before every script.
const PRELUDE: &str = include_str!("scripts/prelude.lua");

/// How a script is called on one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// The server has the script's source.
    pub(crate) known: bool,
    /// What the connection told of the epoch; empty where it told nothing, [`UNBELIEVED`] where nothing is believed.
    pub(crate) epoch: &'a str,
}

/// Stands for an epoch where scripts are not to look themselves either.
pub(crate) const UNBELIEVED: &str = "-";

/// One atomic operation.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Its name in metrics.
    pub(crate) name: &'static str,
    source: String,
    sha1: String,
}

macro_rules! operation {
    ($name:literal) => {
        LazyLock::new(|| Operation::new($name, include_str!(concat!("scripts/", $name, ".lua"))))
    };
}

pub(crate) static CLAIM: LazyLock<Operation> = operation!("claim");
pub(crate) static COMMIT: LazyLock<Operation> = operation!("commit");
pub(crate) static ABANDON: LazyLock<Operation> = operation!("abandon");
pub(crate) static KEEP: LazyLock<Operation> = operation!("keep");
pub(crate) static FORCE: LazyLock<Operation> = operation!("force");
pub(crate) static INVALIDATE: LazyLock<Operation> = operation!("invalidate");
pub(crate) static REPORT: LazyLock<Operation> = operation!("report");
pub(crate) static PAUSE: LazyLock<Operation> = operation!("pause");
pub(crate) static FORGET: LazyLock<Operation> = operation!("forget");

impl Operation {
    fn new(name: &'static str, body: &str) -> Self {
        let source = format!("{SHEBANG}\n{PRELUDE}\n{body}");
        let sha1 = Script::new(&source).get_hash().to_owned();
        Self { name, source, sha1 }
    }

    /// Appends the call for `unit` to `pipe`; with its whole source where the server does not know it yet. The history says
    /// that it was done `by`.
    pub(crate) fn call(
        &self,
        pipe: &mut Pipeline,
        keys: &Keys,
        unit: &Unit,
        (arguments, by): (&[String], &str),
        known: bool,
    ) {
        let call = if known {
            pipe.cmd("EVALSHA").arg(&self.sha1)
        } else {
            pipe.cmd("EVAL").arg(&self.source)
        };
        call.arg(4).arg(keys.state(unit)).arg(keys.lock(unit)).arg(keys.reader(unit));
        call.arg(keys.history(&unit.id));
        call.arg(keys.events()).arg(unit.id.as_str()).arg(unit.kind.as_str()).arg(arguments);
        call.arg(by);
    }
}

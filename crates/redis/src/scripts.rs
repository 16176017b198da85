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
pub(crate) static ADOPT: LazyLock<Operation> = operation!("adopt");
pub(crate) static PAUSE: LazyLock<Operation> = operation!("pause");
pub(crate) static FORGET: LazyLock<Operation> = operation!("forget");
/// It is about no unit, and stands alone.
pub(crate) static PUBLISH: LazyLock<Operation> =
    LazyLock::new(|| Operation::of("publish", include_str!("scripts/publish.lua")));

impl Operation {
    fn new(name: &'static str, body: &str) -> Self {
        Self::of(name, &format!("{PRELUDE}\n{body}"))
    }

    fn of(name: &'static str, body: &str) -> Self {
        let source = format!("{SHEBANG}\n{body}");
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
        let names = [keys.state(unit), keys.lock(unit), keys.reader(unit), keys.history(&unit.id)];
        let call = self.begin(pipe, &names, known);
        call.arg(keys.events()).arg(unit.id.as_str()).arg(unit.kind.as_str()).arg(arguments);
        call.arg(by);
    }

    /// Likewise for an operation on other keys than a unit's.
    pub(crate) fn call_on(
        &self,
        pipe: &mut Pipeline,
        keys: &[String],
        arguments: &[Vec<u8>],
        known: bool,
    ) {
        self.begin(pipe, keys, known).arg(arguments);
    }

    fn begin<'a>(&self, pipe: &'a mut Pipeline, keys: &[String], known: bool) -> &'a mut Pipeline {
        let call = if known {
            pipe.cmd("EVALSHA").arg(&self.sha1)
        } else {
            pipe.cmd("EVAL").arg(&self.source)
        };
        call.arg(keys.len()).arg(keys)
    }
}

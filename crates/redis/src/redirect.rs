//! What a server of a cluster says instead of an answer: who has the key, or that it is to be asked again.

use redis::{Cmd, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};

use crate::link::describe;
use crate::slots::{self, Address};

/// Where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// Another primary has the slot.
    Moved(Address),
    /// The slot is on its way, and this key is at its goal already: only this once.
    Ask(Address),
    /// Nobody can answer now; this is why.
    Later(String),
}

impl Redirect {
    /// What the server at `asked` says instead of an answer; none if it has answered.
    ///
    /// A transaction that was refused says why before its end: what says most comes first.
    pub(crate) fn of(results: &[RedisResult<Value>], asked: &str) -> Option<Self> {
        results.iter().find_map(|result| Self::of_one(result.as_ref().err()?, asked))
    }

    fn of_one(error: &RedisError, asked: &str) -> Option<Self> {
        let to = || slots::address(error.redirect_node()?.0, asked);
        let is = |kind: ServerErrorKind| error.kind() == kind.into();
        if is(ServerErrorKind::Moved) {
            to().map(Self::Moved)
        } else if is(ServerErrorKind::Ask) {
            to().map(Self::Ask)
        } else if [
            ServerErrorKind::TryAgain,
            ServerErrorKind::ClusterDown,
            ServerErrorKind::BusyLoading,
            ServerErrorKind::MasterDown,
            ServerErrorKind::ReadOnly,
        ]
        .into_iter()
        .any(is)
        {
            Some(Self::Later(describe(error)))
        } else {
            None
        }
    }
}

/// `pipe` for a server that is about to take over the slot: before each command the word that it may be answered there. A
/// transaction is one command.
pub(crate) fn asking(pipe: &Pipeline) -> Pipeline {
    let mut asking = redis::pipe();
    let mut within = false;
    for command in pipe.cmd_iter() {
        if !within {
            asking.cmd("ASKING");
        }
        within = (within || is(command, b"MULTI")) && !is(command, b"EXEC");
        asking.add_command(command.clone());
    }
    asking
}

/// The results of `pipe` out of those of [`asking`].
pub(crate) fn answers(
    pipe: &Pipeline,
    results: Vec<RedisResult<Value>>,
) -> Vec<RedisResult<Value>> {
    let mut results = results.into_iter();
    let mut answers = Vec::new();
    let mut within = false;
    for command in pipe.cmd_iter() {
        if !within {
            results.next();
        }
        within = (within || is(command, b"MULTI")) && !is(command, b"EXEC");
        answers.extend(results.next());
    }
    answers
}

fn is(command: &Cmd, name: &[u8]) -> bool {
    command.args_iter().next().is_some_and(|word| match word {
        redis::Arg::Simple(word) => word == name,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pipe: &Pipeline) -> Vec<String> {
        let name = |command: &Cmd| match command.args_iter().next() {
            Some(redis::Arg::Simple(word)) => String::from_utf8(word.to_vec()).unwrap(),
            _ => String::new(),
        };
        pipe.cmd_iter().map(name).collect()
    }

    #[test]
    fn a_command_and_a_transaction_are_each_preceded_by_one_asking() {
        let mut pipe = redis::pipe();
        pipe.cmd("TIME").cmd("MULTI").cmd("GET").cmd("PTTL").cmd("EXEC").cmd("GET");
        let expected =
            ["ASKING", "TIME", "ASKING", "MULTI", "GET", "PTTL", "EXEC", "ASKING", "GET"];
        let asking = asking(&pipe);
        assert_eq!(words(&asking), expected);
        let results = (0..9).map(|number| Ok(Value::Int(number))).collect();
        let numbers: Vec<_> = answers(&pipe, results).into_iter().map(Result::unwrap).collect();
        assert_eq!(numbers, [1, 3, 4, 5, 6, 8].map(Value::Int));
    }

    fn said(line: &str) -> Option<Redirect> {
        let error = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        let Value::ServerError(error) = error else { panic!("{error:?}") };
        let results = [Ok(Value::Okay), Err(RedisError::from(error))];
        Redirect::of(&results, "here:7000")
    }

    #[test]
    fn what_is_said_instead_of_an_answer_is_understood() {
        let there = "there:7001".to_owned();
        assert_eq!(said("MOVED 7 there:7001"), Some(Redirect::Moved(there.clone())));
        assert_eq!(said("ASK 7 there:7001"), Some(Redirect::Ask(there)));
        for line in ["TRYAGAIN Multiple keys", "CLUSTERDOWN Hash slot not served", "LOADING it"] {
            assert!(matches!(said(line), Some(Redirect::Later(_))), "{line}");
        }
        assert_eq!(said("WRONGTYPE of a key"), None);
    }
}

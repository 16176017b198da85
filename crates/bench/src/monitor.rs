//! Every command as Redis runs it, with Redis' own time to the microsecond.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use zhongkong_testkit::RedisServer;

/// A redis-server that is watched until this is dropped.
#[derive(Debug)]
pub(crate) struct Monitor {
    lines: Arc<Mutex<Vec<Line>>>,
    _watching: JoinSet<()>,
}

/// One command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    /// Microseconds since 1970.
    pub(crate) at_micros: u64,
    /// A script called it, not a client.
    pub(crate) by_script: bool,
    /// The command and its arguments, each in quotes.
    pub(crate) words: String,
}

impl Monitor {
    pub(crate) async fn start(redis: &RedisServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", redis.port())).await.expect("redis listens");
        let mut stream = BufReader::new(stream);
        stream.write_all(b"MONITOR\r\n").await.expect("redis listens");
        let mut ok = String::new();
        stream.read_line(&mut ok).await.expect("redis answers");
        assert_eq!(ok.trim(), "+OK");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        let mut watching = JoinSet::new();
        watching.spawn(async move {
            let mut text = stream.lines();
            while let Ok(Some(line)) = text.next_line().await {
                seen.lock().unwrap_or_else(PoisonError::into_inner).extend(Line::parse(&line));
            }
        });
        Self { lines, _watching: watching }
    }

    /// What was seen since this was asked last.
    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Line {
    /// `+1790000000.123456 [0 127.0.0.1:50000] "GET" "key"`
    fn parse(line: &str) -> Option<Self> {
        let (time, rest) = line.strip_prefix('+')?.split_once(" [")?;
        let (seconds, micros) = time.split_once('.')?;
        let at_micros = seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?;
        let (client, words) = rest.split_once("] ")?;
        Some(Self { at_micros, by_script: client.ends_with("lua"), words: words.to_owned() })
    }

    /// Whether it is `name` of `key`.
    pub(crate) fn is(&self, name: &str, key: &str) -> bool {
        self.words.starts_with(&format!("\"{name}\" \"{key}\""))
    }

    /// Whether it is the call of a script.
    pub(crate) fn is_script(&self) -> bool {
        self.words.starts_with("\"EVALSHA\"") || self.words.starts_with("\"EVAL\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_who_and_what() {
        let line = Line::parse(r#"+1790000000.000042 [0 lua] "SET" "a" "b""#).unwrap();
        assert_eq!((line.at_micros, line.by_script), (1_790_000_000_000_042, true));
        assert!(line.is("SET", "a") && !line.is("SET", "b") && !line.is_script());
        let line = Line::parse(r#"+1.000001 [0 127.0.0.1:5] "EVALSHA" "x""#).unwrap();
        assert!(!line.by_script && line.is_script());
        assert!(Line::parse("+OK").is_none());
    }
}

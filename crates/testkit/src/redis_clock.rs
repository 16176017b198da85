//! The time that a redis-server believes, moved while it runs.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const SOURCE: &str = include_str!("clock_shim.c");

/// A preload shim around the wall clock of one redis-server.
#[derive(Debug)]
pub struct RedisClock {
    directory: TempDir,
    library: PathBuf,
    offset: File,
}

impl RedisClock {
    /// Compiles the shim; the clock is true until it is moved.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("clock_shim.c");
        let library = directory.path().join("clock_shim.so");
        std::fs::write(&source, SOURCE).unwrap();
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
            .args([&library, &source])
            .output()
            .expect("a C compiler must be installed (apt-get install gcc libc6-dev)");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let offset = File::create_new(directory.path().join("offset")).unwrap();
        let clock = Self { directory, library, offset };
        clock.set_offset_ms(0);
        clock
    }

    /// What the redis-server must be started with, for [`crate::RedisServer::start_with`].
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("LD_PRELOAD", self.library.clone()),
            ("ZHONGKONG_CLOCK_OFFSET", self.directory().join("offset")),
        ]
    }

    /// Sets the clock so many seconds ahead of the true time, or behind it; at once.
    pub fn set_offset(&self, seconds: i64) {
        self.set_offset_ms(seconds * 1_000);
    }

    /// The same in milliseconds.
    pub fn set_offset_ms(&self, ms: i64) {
        // The server has this page mapped: what is written to the file stands there at once.
        self.offset.write_all_at(&ms.to_ne_bytes(), 0).unwrap();
    }

    /// Holds the clock at an instant, in microseconds since 1970, until it is held at another.
    pub fn hold_at_us(&self, us: u64) {
        self.offset.write_all_at(&us.to_ne_bytes(), 8).unwrap();
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Default for RedisClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RedisServer;

    async fn started(clock: &RedisClock) -> RedisServer {
        let environment = clock.environment();
        let environment: Vec<_> =
            environment.iter().map(|(name, path)| (*name, path.as_path())).collect();
        RedisServer::start_with(&[], &environment).await
    }

    async fn seconds(server: &RedisServer) -> i64 {
        let (seconds, _): (i64, i64) = server.command(&["TIME"]).await;
        seconds
    }

    #[tokio::test]
    async fn the_clock_of_a_running_server_moves_both_ways() {
        let clock = RedisClock::new();
        let server = started(&clock).await;
        let start = seconds(&server).await;
        let since_start = async || seconds(&server).await - start;

        let () = server.command(&["SET", "key", "value", "EX", "600"]).await;
        clock.set_offset_ms(-3_600_500);
        assert!((-3_602..-3_580).contains(&since_start().await));
        let ttl: i64 = server.command(&["TTL", "key"]).await;
        assert!(ttl > 4_000, "an hour more to live: {ttl}");
        clock.set_offset(3_600);
        assert!((3_600..3_620).contains(&since_start().await));
        let left: bool = server.command(&["EXISTS", "key"]).await;
        assert!(!left, "its time has passed");
        clock.set_offset(0);
        assert!((0..20).contains(&since_start().await));
    }
    #[tokio::test]
    async fn a_clock_that_is_held_stands_still_and_keys_die_by_it() {
        let clock = RedisClock::new();
        let server = started(&clock).await;
        for (held_us, ttl_ms) in [(1_795_380_778_000_123, 5_000), (1_795_380_782_999_000, 1)] {
            clock.hold_at_us(held_us);
            let _: bool = server.command(&["SET", "key", "value", "PX", "5000", "NX"]).await;
            let time: (u64, u64) = server.command(&["TIME"]).await;
            assert_eq!(time, (held_us / 1_000_000, held_us % 1_000_000));
            let ttl: i64 = server.command(&["PTTL", "key"]).await;
            assert_eq!(ttl, ttl_ms);
        }
    }
}

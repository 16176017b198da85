//! What a read of the local copy costs beside a plain `GET` of the same token over loopback.

#![expect(clippy::unwrap_used, reason = "without its fixture there is nothing to measure")]

use std::sync::OnceLock;
use std::time::Duration;

use divan::{Bencher, black_box};
use tokio::runtime::Runtime;
use zhongkong_client::{Client, Reader};
use zhongkong_testkit::RedisServer;

const KEY: &str = "zhongkong:{wx}:access_token";

static SCENE: OnceLock<Scene> = OnceLock::new();

struct Scene {
    url: String,
    reader: Reader,
}

fn main() {
    let runtime = Runtime::new().unwrap();
    // On this thread, which lives as long as it is measured: the server ends with the thread that started it.
    let redis = runtime.block_on(RedisServer::start());
    let reader = runtime.block_on(async {
        // As long as WeChat asks to leave room for.
        let () = redis.command(&["SET", KEY, &"t".repeat(512), "PX", "7200000"]).await;
        let reader = Client::builder(&redis.url()).start().unwrap().access_token("wx").unwrap();
        reader.ready(Duration::from_secs(10)).await.unwrap();
        reader
    });
    drop(SCENE.set(Scene { url: redis.url(), reader }));
    divan::main();
}

/// The local copy; kept current meanwhile.
#[divan::bench(threads = [1, 2, 8], sample_size = 1000)]
fn current(bencher: Bencher<'_, '_>) {
    let reader = &SCENE.get().unwrap().reader;
    bencher.bench(|| reader.current().unwrap().expose().len());
}

/// A plain `GET` on a blocking connection of its own, which is the quickest that there is.
#[divan::bench(sample_size = 20)]
fn get(bencher: Bencher<'_, '_>) {
    let mut connection =
        redis::Client::open(&*SCENE.get().unwrap().url).unwrap().get_connection().unwrap();
    bencher.bench_local(|| {
        let token: String = redis::cmd("GET").arg(KEY).query(&mut connection).unwrap();
        black_box(token)
    });
}

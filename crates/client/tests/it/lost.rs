//! A lost connection is noticed, said, and made good.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use zhongkong_client::{NoToken, Reader};
use zhongkong_testkit::{PATIENCE, wait_until};

use crate::scene::{SHORT, Scene, ready, refuses, shows, watch};

/// Reads without a pause until told to stop: nothing may be handed out that is as old as the bound.
fn read_greedily(reader: Reader, stop: &'static AtomicBool) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut reads = 0;
        while !stop.load(Ordering::Relaxed) {
            match reader.current() {
                // The age is told a moment after the token was handed out.
                Ok(current) => assert!(current.age() < SHORT + SHORT / 10, "{current:?}"),
                Err(NoToken::Stale { age, .. }) => assert!(age >= SHORT, "{age:?}"),
                Err(other) => panic!("{other}"),
            }
            reads += 1;
            std::thread::yield_now();
        }
        reads
    })
}

#[tokio::test]
async fn a_killed_redis_makes_copies_stale_and_a_new_one_makes_them_good() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let mut scene = Scene::new().await;
    scene.publish("first").await;
    let (client, reader) = watch(scene.builder().max_age(SHORT));
    ready(&reader).await;
    let greedy = read_greedily(reader.clone(), &STOP);
    scene.redis.kill().await;
    wait_until("the loss is noticed", PATIENCE, async || client.mode().is_none()).await;
    let error = refuses(&reader, |why| matches!(why, NoToken::Stale { .. })).await;
    let NoToken::Stale { last: Some(last), age, why: Some(why) } = error else {
        panic!("{error:?}");
    };
    assert!(last.expose() == "first" && age >= SHORT, "{age:?}");
    assert!(why.to_string().contains(&scene.redis.port().to_string()), "{why}");
    STOP.store(true, Ordering::Relaxed);
    assert!(greedy.join().unwrap() > 0);

    scene.redis.restart().await;
    refuses(&reader, |why| *why == NoToken::Absent).await;
    scene.publish("second").await;
    shows(&reader, "second").await;
}

#[tokio::test]
async fn a_copy_is_handed_out_while_it_is_young_although_redis_is_gone() {
    let mut scene = Scene::new().await;
    scene.publish("first").await;
    let (client, reader) = watch(scene.builder());
    ready(&reader).await;
    scene.redis.kill().await;
    wait_until("the loss is noticed", PATIENCE, async || client.mode().is_none()).await;
    assert_eq!(reader.current().unwrap().expose(), "first");
}

#[tokio::test]
async fn a_half_open_connection_is_noticed() {
    let scene = Scene::new().await;
    scene.publish("first").await;
    let (client, reader) = watch(scene.builder().max_age(SHORT));
    ready(&reader).await;
    let redis = Pid::from_raw(scene.redis.pid().unwrap().cast_signed()).unwrap();
    // The kernel keeps the connection, and takes new ones; nobody answers.
    kill_process(redis, Signal::STOP).unwrap();
    wait_until("the silence is noticed", PATIENCE, async || client.mode().is_none()).await;
    // Half of the bound is left to find a better connection.
    assert_eq!(reader.current().unwrap().expose(), "first");
    refuses(&reader, |why| matches!(why, NoToken::Stale { .. })).await;
    kill_process(redis, Signal::CONT).unwrap();
    shows(&reader, "first").await;
}

#[tokio::test]
async fn a_connection_that_is_cut_is_replaced_and_follows_again() {
    let scene = Scene::new().await;
    scene.publish("first").await;
    let (_client, reader) = watch(scene.builder());
    ready(&reader).await;
    for turn in 0..5 {
        let () = scene.redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        // A change that nobody is told of: found by what is read on the next connection.
        let token = format!("token-{turn}");
        scene.publish(&token).await;
        shows(&reader, &token).await;
        scene.publish("told").await;
        shows(&reader, "told").await;
    }
}

#[tokio::test]
async fn a_client_may_be_started_before_its_redis() {
    let mut scene = Scene::new().await;
    scene.redis.kill().await;
    let (_client, reader) = watch(scene.builder().max_age(SHORT));
    let error = refuses(&reader, |why| matches!(why, NoToken::Unread { why: Some(_) })).await;
    assert!(error.to_string().contains("no token was read yet: 127.0.0.1:"), "{error}");
    scene.redis.restart().await;
    scene.publish("first").await;
    assert_eq!(ready(&reader).await.expose(), "first");
}

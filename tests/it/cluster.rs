//! A Redis Cluster: a thousand units while slots move and a primary dies, and what reaches which of its servers.

mod scene;

use serde_json::{Value, json};
use tokio::time::Instant;
use zhongkong_testkit::{PATIENCE, RedisCluster};

use self::scene::{Scene, app_id, taken_over, token_key, until};
use crate::setup::ms;

/// A unit of each of the first three servers.
async fn one_of_each(scene: &Scene) -> [usize; 3] {
    let held = scene.held().await;
    [0, 1, 2].map(|server| *held.iter().find(|(_, held)| held.server == server).unwrap().0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_units_outlive_moving_slots_and_the_death_of_a_primary() {
    let mut scene = Scene::new(RedisCluster::start(3, 1).await, 1_000).await;
    scene.record(1).await;
    let before = scene.held().await;
    let moving: Vec<usize> = before
        .iter()
        .filter(|(_, held)| held.server == 0)
        .map(|(unit, _)| *unit)
        .take(60)
        .collect();
    let mut slots = Vec::new();
    for unit in &moving {
        slots.push(scene.redis.slot_of(&token_key(*unit)).await);
    }
    // A window in which half of a slot's keys are here, and half are there.
    for slot in &slots {
        scene.redis.begin_move(*slot, 0, 1).await;
    }
    for unit in &moving[..30] {
        scene.redis.move_keys(&[token_key(*unit), token_key(*unit) + ":state"], 0, 1).await;
    }
    scene.redis.server_mut(2).kill().await;
    for slot in &slots {
        scene.redis.move_rest(*slot, 0, 1).await;
        scene.redis.end_move(*slot, 0, 1).await;
    }
    taken_over(&scene, 5).await;
    let after = scene.settled().await;
    for unit in &moving {
        assert_eq!(after[unit].server, 1);
    }
    for (unit, held) in &before {
        let now = &after[unit];
        if held.server == 2 {
            assert_eq!(now.server, 5);
        }
        if now.server != held.server {
            assert!(
                now.generation > held.generation,
                "unit {unit} has the token of its old primary"
            );
        }
    }
    // And once more all of them, where they are now.
    until(&scene, "every unit is refreshed", async || {
        let now = scene.held().await;
        after
            .iter()
            .all(|(unit, held)| now.get(unit).is_some_and(|now| now.generation > held.generation))
    })
    .await;
    let (found, stories, (answered, unanswered)) = scene.judged().await;
    assert!(found.is_empty(), "{} violations\n{stories}\n{}", found.len(), scene.tails());
    assert!(answered > 10_000 && unanswered < answered / 4, "{answered}, {unanswered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_at_each_primary_is_heard_and_served() {
    let mut scene = Scene::new(RedisCluster::start(3, 0).await, 12).await;
    let units = one_of_each(&scene).await;
    for unit in units {
        let key = token_key(unit);
        let calls = scene.calls(unit);
        let token: String = scene.redis.command(&key, &["GET", &key]).await;
        // A key that was deleted by hand is back at once, without a call.
        let deleted = Instant::now();
        let () = scene.redis.command(&key, &["DEL", &key]).await;
        until(&scene, "the key is back", async || {
            scene.redis.command::<bool>(&key, &["EXISTS", &key]).await
        })
        .await;
        assert!(deleted.elapsed() < PATIENCE / 10, "back after {:?}", deleted.elapsed());
        // A refresh that was due may have come in between.
        let back: String = scene.redis.command(&key, &["GET", &key]).await;
        assert!(back == token || scene.calls(unit) > calls, "another token without a call");
        let token = back;
        // A report in the stream, which has a slot of its own.
        scene.simulator.revoke(&token, false);
        let stream = "zhongkong:reports";
        let id = app_id(unit);
        let entry = ["XADD", stream, "*", "id", &id, "token", &token];
        let _: String = scene.redis.command(stream, &entry).await;
        until(&scene, "the reported token is replaced", async || {
            let now: Option<String> = scene.redis.command(&key, &["GET", &key]).await;
            now.is_some_and(|now| now != token)
        })
        .await;
        // Every worker has heard of it, by an event from one server about a unit of another.
        let generation = scene.held().await[&unit].generation;
        for worker in &scene.workers {
            until(&scene, "each worker knows the new token", async || {
                let shown = worker.get(&format!("/v1/credentials/{id}")).await.unwrap();
                let shown: Value = serde_json::from_str(&shown.body).unwrap_or_default();
                shown["kinds"][0]["generation"].as_u64() >= Some(generation)
            })
            .await;
        }
    }
    let worker = &mut scene.workers[0];
    let said = |output: std::process::Output| String::from_utf8(output.stdout).unwrap();
    let checked = said(worker.run_command(&["check"]).await);
    assert!(checked.contains("a cluster of 3 primaries"), "{checked}");
    for unit in units {
        let history = said(worker.run_command(&["history", &app_id(unit)]).await);
        assert!(["refreshed", "kept", "reported"].iter().all(|w| history.contains(w)), "{history}");
    }
    let latest = worker.get("/v1/history").await.unwrap().json();
    assert!(latest["entries"].as_array().unwrap().len() > 12, "of every primary: {latest:#}");
    let keys = said(worker.run_command(&["keys", &app_id(0)]).await);
    assert!(keys.contains("redis-cli -h 127.0.0.1 -p ") && keys.contains(" -c GET "), "{keys}");
    let status = said(worker.run_command(&["status"]).await);
    assert!(status.contains("a cluster of 3 primaries"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_replica_that_dies_takes_only_its_own_units_with_it() {
    let mut scene = Scene::new(RedisCluster::start(3, 0).await, 30).await;
    let workers_slot = scene.redis.slot_of("zhongkong:workers").await;
    let lost = (scene.redis.owner_of(workers_slot).await.unwrap() + 1) % 3;
    let before = scene.held().await;
    scene.redis.server_mut(lost).kill().await;
    let dead = Instant::now();
    let of_the_lost = |unit: usize| before[&unit].server == lost;
    until(&scene, "the workers say so", async || {
        scene
            .workers
            .iter()
            .all(|worker| worker.output().contains("a part of redis does not answer"))
    })
    .await;
    // What was under way when it died has ended by now.
    tokio::time::sleep(ms(2_500).saturating_sub(dead.elapsed())).await;
    let calls: Vec<u64> = (0..30).map(|unit| scene.calls(unit)).collect();
    until(&scene, "all other units are refreshed", async || {
        let now = scene.held().await;
        (0..30)
            .filter(|unit| !of_the_lost(*unit))
            .all(|unit| now.get(&unit).is_some_and(|now| now.generation > before[&unit].generation))
    })
    .await;
    for unit in (0..30).filter(|unit| of_the_lost(*unit)) {
        assert_eq!(scene.calls(unit), calls[unit], "a call without Redis");
    }
    let unit = (0..30).find(|unit| of_the_lost(*unit)).unwrap();
    let answer = scene.workers[0]
        .post(&format!("/v1/credentials/{}/refresh", app_id(unit)), &json!({"force": true}))
        .await
        .unwrap();
    assert_eq!(answer.status, 503, "{answer:?}");
    let output = scene.workers[0].run_command(&["status"]).await;
    let complaint = String::from_utf8(output.stderr).unwrap();
    let line =
        format!("{} access_token: its state cannot be read: redis is unreachable", app_id(unit));
    assert!(complaint.contains(&line), "{complaint}");
    for worker in &scene.workers {
        assert!(worker.is_ready().await, "it serves the other units");
    }
    scene.redis.server_mut(lost).restart().await;
    scene.settled().await;
    until(&scene, "the workers say so", async || {
        scene.workers.iter().all(|worker| worker.output().contains("all of redis answers again"))
    })
    .await;
}

//! Each benchmark at its smallest size: that it runs to its end, and that it counts right. No timings.

#![expect(clippy::unwrap_used, reason = "a broken fixture must stop the test at once")]

use std::process::Command;

use serde_json::Value;

/// What one benchmark printed.
struct Report(Value);

impl Report {
    fn of(benchmark: &str) -> Self {
        let ran = Command::new(env!("CARGO_BIN_EXE_zhongkong-bench"))
            .args([benchmark, "--smallest", "--json"])
            .args(["--worker", env!("CARGO_BIN_EXE_zhongkong-bench-worker")])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let report = Self(serde_json::from_slice(&ran.stdout).unwrap());
        assert!(!report.figures().is_empty());
        for figure in report.figures() {
            let beside = figure["beside"].as_object().map(|beside| &beside["ratio"]);
            for spread in [Some(&figure["spread"]), beside].into_iter().flatten() {
                // What was divided by nothing is no number.
                assert!(
                    ["min", "median", "max"].iter().all(|of| spread[of].is_number()),
                    "{figure}"
                );
            }
        }
        report
    }

    fn figures(&self) -> &Vec<Value> {
        self.0["figures"].as_array().unwrap()
    }

    /// The median of the one figure whose name ends with `what`.
    fn figure(&self, what: &str) -> f64 {
        let named = |figure: &&Value| figure["what"].as_str().unwrap().ends_with(what);
        self.figures().iter().find(named).unwrap()["spread"]["median"].as_f64().unwrap()
    }
}

#[test]
fn calls_are_one_a_refresh_and_one_at_a_time() {
    let report = Report::of("calls");
    assert_eq!(report.figure("upstream calls per refresh").to_bits(), 1_f64.to_bits());
    assert_eq!(report.figure("most calls for one unit at once").to_bits(), 1_f64.to_bits());
}

#[test]
fn a_refresh_takes_two_round_trips_to_redis() {
    let report = Report::of("refresh");
    assert_eq!(
        report.figure("round trips to Redis from claim to token").to_bits(),
        2_f64.to_bits()
    );
}

#[test]
fn nobody_takes_over_before_the_lease_ends() {
    assert!(Report::of("takeover").figure("end of the lease → next claim") >= 0.0);
}

#[test]
fn a_herd_causes_one_fetch_and_one_probe() {
    let report = Report::of("herd");
    assert_eq!(report.figure("fetches per herd").to_bits(), 1_f64.to_bits());
    assert_eq!(report.figure("probes per herd").to_bits(), 1_f64.to_bits());
}

#[test]
fn the_token_over_http_is_measured_beside_a_bare_route() {
    assert!(Report::of("token").figure("a second") > 0.0);
}

#[test]
fn many_units_are_all_fetched_and_rest_then() {
    let report = Report::of("units");
    assert!(report.figure("scripts a refresh") >= 2.0);
    // Those of the worker itself may come late; a claim needs none.
    assert!(report.figure("new connections to Redis a refresh") < 0.1);
    assert!(report.figure("memory in Redis per unit") > 0.0);
}

#[test]
fn each_token_is_tried_in_one_round_trip() {
    let report = Report::of("probes");
    assert!(report.figure("probes a second") > 0.0);
    assert!(report.figure("in one round trip") >= 6.0);
}

#[test]
fn a_cluster_holds_as_much_of_a_unit_as_one_redis() {
    let report = Report::of("cluster");
    assert!(report.figure("memory in all primaries per unit, three primaries") > 300.0);
    assert!(report.figure("refreshes a second, three primaries, a replica each") > 0.0);
}

#[test]
fn a_start_ends_with_a_token_and_its_program_has_a_size() {
    let report = Report::of("start");
    assert!(report.figure("the first token is in Redis") > 0.0);
    assert!(report.figure("memory with one credential") > 1.0);
    assert!(report.figure("size of the program") > 1.0);
}

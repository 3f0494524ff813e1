//! `examples/monitoring`: a steady leak fires; a burst and a cache that is full do not; the dashboard is one.

mod prometheus;

use std::fs;
use std::path::{Path, PathBuf};

use prometheus::{promtool, said};

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/monitoring")
}

#[test]
fn promtool_takes_the_configuration_and_the_rules() {
    for args in [
        &["check", "config", "prometheus.yml"][..],
        &["check", "rules", "alerts.yml"],
        &["test", "rules", "alerts_test.yml"],
    ] {
        let output = promtool(args, &monitoring(), "");
        assert!(output.status.success(), "{args:?}: {}", said(&output));
    }
}

/// The rules' own tests can fail: each part of the leak's rule is there for one of them.
#[test]
fn without_its_parts_the_leak_alert_fails_its_tests() {
    let rules = fs::read_to_string(monitoring().join("alerts.yml")).expect("it is there");
    for (what, from, to) in [
        ("a cache that is full", "> 0.2 * (", "> -9 * ("),
        (
            "a burst",
            "min_over_time(rust_memstats_alloc_bytes[1h])",
            "max_over_time(rust_memstats_alloc_bytes[1h])",
        ),
        ("a leak", "> 1.25 * (", "> 125 * ("),
    ] {
        assert!(rules.contains(from), "{from}");
        let name = what.replace(' ', "-");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("alerts-{name}"));
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join("alerts.yml"), rules.replace(from, to)).expect("written");
        fs::copy(
            monitoring().join("alerts_test.yml"),
            directory.join("alerts_test.yml"),
        )
        .expect("copied");
        let output = promtool(&["test", "rules", "alerts_test.yml"], &directory, "");
        assert!(!output.status.success(), "{what}: {}", said(&output));
        let is_of_the_leak = said(&output).contains("RustHeapLeakSuspected");
        assert!(is_of_the_leak, "{what}: {}", said(&output));
    }
}

/// Every expression of the dashboard, as a rule: promtool parses it.
#[test]
fn every_panel_of_the_dashboard_has_a_query_that_parses() {
    let text = fs::read_to_string(monitoring().join("dashboard.json")).expect("it is there");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut rules = String::from("groups:\n- name: dashboard\n  rules:\n");
    for panel in panels.iter().filter(|panel| panel["type"] != "text") {
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            let count = rules.lines().count();
            // A JSON string is a YAML string.
            rules += &format!("  - record: panel_{count}\n    expr: {}\n", target["expr"]);
        }
    }
    assert!(rules.lines().count() > 20, "{rules}");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
    fs::create_dir_all(&directory).expect("a directory");
    fs::write(directory.join("dashboard.yml"), &rules).expect("written");
    let output = promtool(&["check", "rules", "dashboard.yml"], &directory, "");
    assert!(output.status.success(), "{}\n{rules}", said(&output));
}

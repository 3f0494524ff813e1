//! `format=json` and `format=collapsed` are the same profile as the pprof file, sample by sample, whatever is folded in it, and
//! every profile has them; names that would break a line or a string come through; what is not known is refused by name.
#![cfg(all(feature = "http", feature = "symbolize"))]

mod distinct_stacks;
mod http_client;
mod measured;
mod statistics;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::thread;
use std::time::Duration;

use debug_pprof::http::Request;
use debug_pprof::{Limits, ProfiledAllocator, WatchOptions};
use distinct_stacks::allocate_under;
use http_client::validator::{Expect, Kind, Profile, assert_valid};
use http_client::{Answer, respond};
use serde_json::Value;

/// Few samples are written, so that many are folded.
const LIMITS: Limits = Limits {
    profile_samples: 120,
    ..Limits::DEFAULT
};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1).limits(LIMITS);

/// What separates frames and values in a line, and what JSON escapes.
#[unsafe(export_name = "odd \"name\"; with\\n; 1 é")]
#[inline(never)]
extern "C" fn odd_symbol() -> *mut u8 {
    black_box(vec![7_u8; 32 << 20]).leak().as_mut_ptr()
}

fn get(target: &str) -> Answer {
    respond(&Request::get(format!("/debug/pprof/{target}")))
}

fn json(target: &str) -> Value {
    let answer = get(target);
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{target}: {error}"))
}

/// A sample by what it says: frames leaf first as (name, file, line), values, the size of its objects.
type Sample = (Vec<(String, String, i64)>, Vec<i64>, Option<i64>);

fn samples_of_pprof(profile: &Profile) -> Vec<Sample> {
    let stacks = profile.stacks().into_iter().map(|stack| {
        let frames = stack.frames.into_iter();
        let size = stack.numeric_labels.iter().find(|(key, _)| *key == "bytes");
        (
            frames
                .map(|frame| (frame.name, frame.file, frame.line))
                .collect(),
            stack.values,
            size.map(|(_, size)| *size),
        )
    });
    stacks.collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn numbers(value: &Value) -> Vec<i64> {
    list(value)
        .iter()
        .map(|number| number.as_i64().expect("a whole number"))
        .collect()
}

fn samples_of_json(profile: &Value) -> Vec<Sample> {
    let text = |index: i64| {
        profile["strings"][index as usize]
            .as_str()
            .expect("a string")
    };
    let read = |sample: &Value| {
        let mut frames = Vec::new();
        for frame in numbers(&sample[0]) {
            for pair in numbers(&profile["frames"][frame as usize]).chunks(2) {
                let function = numbers(&profile["functions"][pair[0] as usize]);
                let name = text(function[0]).to_owned();
                frames.push((name, text(function[1]).to_owned(), pair[1]));
            }
        }
        let labels = numbers(&sample[3]);
        let size = labels.chunks(2).find(|pair| text(pair[0]) == "bytes");
        (frames, numbers(&sample[1]), size.map(|pair| pair[1]))
    };
    list(&profile["samples"]).iter().map(read).collect()
}

/// Values by line, and no line that is none.
fn lines(target: &str) -> BTreeMap<String, i64> {
    let answer = get(target);
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    let mut lines = BTreeMap::new();
    for line in answer.text().lines() {
        let (stack, value) = line.rsplit_once(' ').expect("a value");
        let value: i64 = value.parse().expect("a number");
        assert!(value > 0 && !stack.is_empty(), "{line}");
        *lines.entry(stack.to_owned()).or_default() += value;
    }
    lines
}

/// The lines as they should be of the same samples.
fn collapsed(samples: &[Sample], value: usize) -> BTreeMap<String, i64> {
    let mut lines = BTreeMap::new();
    for (frames, values, _) in samples.iter().filter(|(_, values, _)| values[value] > 0) {
        let names = frames
            .iter()
            .rev()
            .map(|(name, _, _)| name.replace(';', ":").replace('\n', " "));
        *lines
            .entry(names.collect::<Vec<_>>().join(";"))
            .or_default() += values[value];
    }
    lines
}

#[test]
fn profiles_have_json_and_collapsed_forms() {
    let period = Duration::from_secs(1);
    let options = WatchOptions {
        period,
        ..WatchOptions::DEFAULT
    };
    debug_pprof::watch(options).expect("a thread");
    // A peak, which is the same in every answer from then on.
    let kept: Vec<_> = (0..300)
        .map(|path| allocate_under(path, 100 + path))
        .collect();
    let odd = odd_symbol();
    thread::sleep(period / 4);
    // SAFETY: `odd_symbol` leaked a boxed slice of as many bytes.
    drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(odd, 32 << 20)) });

    // What the test itself allocates from here on would cost a stack each.
    debug_pprof::set_sample_rate(0);

    let answer = get("peakheap");
    let pprof = assert_valid(&answer.body, Expect::from(Kind::PeakHeap));
    let of_json = json("peakheap?format=json");
    let (mut expected, mut found) = (samples_of_pprof(&pprof), samples_of_json(&of_json));
    expected.sort();
    found.sort();
    assert_eq!(expected.len(), 120);
    assert!(expected == found, "the samples of JSON are others");
    assert!(
        found
            .iter()
            .any(|(frames, ..)| frames[0].0 == "odd \"name\"; with\\n; 1 é")
    );
    assert!(
        found
            .iter()
            .any(|(frames, ..)| frames[0].0 == "[truncated]")
    );
    let totals: Vec<i64> = (0..4)
        .map(|at| found.iter().map(|(_, values, _)| values[at]).sum())
        .collect();
    assert_eq!(numbers(&of_json["total"]), totals);
    assert_eq!(
        of_json["sample_types"][3],
        serde_json::json!(["inuse_space", "bytes"])
    );
    assert_eq!(of_json["default_sample_type"], "inuse_space");
    assert_eq!(
        (&of_json["period_type"][0], &of_json["period"]),
        (&"space".into(), &1.into())
    );
    let comments: Vec<&str> = list(&of_json["comments"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        comments
            .iter()
            .any(|line| line.contains("folded into [truncated]")),
        "{comments:?}"
    );

    assert!(lines("peakheap?format=collapsed") == collapsed(&found, 3));
    assert!(lines("peakheap?format=collapsed&type=alloc_objects") == collapsed(&found, 0));
    assert!(get("peakheap?format=pprof").body.starts_with(&[0x1f, 0x8b]));
    drop(kept);

    // All the others have both.
    for (target, default) in [
        ("heap", "inuse_space"),
        ("heap?min_age=1ms", "inuse_space"),
        ("heap?rss=1", "inuse_space"),
        ("heap?label=age,type", "inuse_space"),
        ("heap?since=1h", "inuse_space"),
        ("allocs", "alloc_space"),
        ("leaks", "leak_space"),
        ("goroutine", "goroutine"),
        ("threadcreate", "threadcreate"),
        ("mutex", "delay"),
        ("block", "delay"),
    ] {
        let separator = if target.contains('?') { '&' } else { '?' };
        let of_json = json(&format!("{target}{separator}format=json"));
        assert_eq!(of_json["default_sample_type"], default, "{target}");
        let types = list(&of_json["sample_types"]).len();
        assert!(
            samples_of_json(&of_json)
                .iter()
                .all(|(_, values, _)| values.len() == types),
            "{target}"
        );
        if target.contains("label=") {
            let text = |index: i64| {
                of_json["strings"][index as usize]
                    .as_str()
                    .expect("a string")
            };
            let labels = list(&of_json["samples"])
                .iter()
                .map(|sample| numbers(&sample[2]));
            let keys: Vec<&str> = labels
                .flat_map(|label| {
                    label
                        .chunks(2)
                        .map(|pair| text(pair[0]))
                        .collect::<Vec<_>>()
                })
                .collect();
            assert!(keys.contains(&"age") && keys.contains(&"type"), "{keys:?}");
        }
        lines(&format!("{target}{separator}format=collapsed"));
        let head = respond(&Request::head(format!(
            "/debug/pprof/{target}{separator}format=json"
        )));
        assert!(head.status == 200 && head.body.is_empty(), "{target}");
        assert_eq!(
            head.header("Content-Type"),
            Some("application/json"),
            "{target}"
        );
    }

    let delta = json("heap?seconds=1&format=json");
    assert!(delta["duration_ms"].as_i64() >= Some(1000));

    for (target, said) in [
        ("heap?format=svg", "must be pprof, json or collapsed"),
        ("goroutine?format=yaml", "must be pprof, json or collapsed"),
        ("leaks?format=x", "must be pprof, json or collapsed"),
        ("heap?format=json&debug=1", "incompatible"),
        (
            "heap?format=json&symbolize=0",
            "symbolize=0 is for format=pprof",
        ),
        ("heap?format=json&previous=1", "format=pprof"),
        (
            "heap?format=collapsed&type=cpu",
            "must be alloc_objects, alloc_space, inuse_objects, inuse_space",
        ),
        ("?format=pprof", "must be json"),
    ] {
        let answer = get(target);
        assert!(
            answer.status == 400 && answer.text().contains(said),
            "{target}: {}",
            answer.text()
        );
    }

    // The list of them, for a program.
    let index = json("?format=json");
    let profiles = list(&index["profiles"]);
    let named = |name: &str| {
        profiles
            .iter()
            .find(|profile| profile["name"] == name)
            .expect("it is listed")
    };
    assert!(named("heap")["count"].as_i64() > Some(100));
    assert_eq!(named("heap")["kind"], "memory");
    assert!(named("peakheap")["count"].as_i64() > Some(300));
    assert!(
        profiles
            .iter()
            .all(|profile| profile["description"] != "" && profile["name"] != "cmdline")
    );
}

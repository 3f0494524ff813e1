//! The tool fetches by URL: every profile, and with a token.

use std::fs;
use std::path::Path;

use crate::example_binary::Build;
use crate::go_pprof::{pprof, try_pprof};
use crate::http_client::{ask, get};
use crate::leaky_service::{Config, LeakyService};
use crate::top::Top;
use crate::validator::{Expect, Kind};

#[test]
fn every_profile_is_valid_and_opens() {
    let service = LeakyService::start(&Config::new(Build::Debug, 4096, 16));
    service.wait_until_full();
    for (path, kind) in [
        ("heap", Kind::Heap),
        ("allocs", Kind::Allocs),
        ("goroutine", Kind::Goroutine),
        ("goroutineleak", Kind::GoroutineLeak),
        ("threadcreate", Kind::ThreadCreate),
        ("profile?seconds=1", Kind::Cpu),
        ("block", Kind::Block),
        ("mutex", Kind::Mutex),
    ] {
        service.profile(path, Expect::new(kind));
        let top = pprof(&["-top", &service.url(path)]);
        let last = kind.sample_types().last().expect("every kind has one").0;
        let default = if kind == Kind::Allocs {
            "alloc_space"
        } else {
            last
        };
        assert!(top.contains(&format!("Type: {default}\n")), "{path}: {top}");
        if matches!(kind, Kind::Goroutine | Kind::ThreadCreate) {
            assert!(top.contains("leaky_service::main"), "{path}: {top}");
        }
    }
    for path in ["heap?symbolize=0", "allocs?symbolize=0"] {
        let kind = if path.starts_with("heap") {
            Kind::Heap
        } else {
            Kind::Allocs
        };
        let (_, raw) = service.profile(path, Expect::new(kind).raw());
        assert!(raw.total("inuse_space") > 0);
    }
    service.profile("heap?gc=1", Expect::new(Kind::Heap));
}

#[test]
fn stuck_tasks_are_first_and_at_their_await() {
    let config = Config {
        stuck_tasks: 2000,
        ..Config::new(Build::Debug, 512 << 10, 1)
    };
    let service = LeakyService::start(&config);
    let (_, profile) = service.profile("goroutine", Expect::new(Kind::Goroutine));
    let through = |function| profile.through(function, "goroutine");
    assert_eq!(through("::wait_for_reply::{{closure}}"), 2000);
    assert_eq!(through("::accept_requests"), 2000);
    let tree = pprof(&[
        "-top",
        "-cum",
        "-lines",
        "-focus=request",
        &service.url("goroutine"),
    ]);
    let row = tree
        .lines()
        .find(|line| line.contains("wait_for_reply") && line.contains("backend.rs:"));
    assert!(row.is_some_and(|row| row.contains(" 2000 ")), "{tree}");
    let tags = pprof(&["-tags", &service.url("goroutine")]);
    assert!(tags.contains("task:") && tags.contains("request"), "{tags}");

    // For people: the first block names the line at once.
    let text = service.get("goroutine?debug=1").text();
    let first: Vec<&str> = text.lines().take(4).collect();
    assert!(
        first[0].starts_with("goroutine profile: total 20"),
        "{text}"
    );
    assert!(first[1].starts_with("2000 @ 0x"), "{text}");
    assert_eq!(first[2], "# labels: {\"task\":\"request\"}", "{text}");
    assert!(
        first[3].contains("leaky_service::backend::wait_for_reply::{{closure}}"),
        "{text}"
    );
    let source = include_str!("../../examples/leaky_service/backend.rs");
    let line = source.lines().position(|line| line.contains("reply.await"));
    let line = format!("backend.rs:{}", line.expect("it waits") + 1);
    assert!(first[3].ends_with(&line), "{line}: {text}");
}

#[test]
fn profiles_taken_under_load_are_valid() {
    // Everything is sampled, so each request of the load changes counts while they are read.
    let service = LeakyService::start(&Config::new(Build::Debug, 1, 2000));
    let (expect, mut allocated) = (Expect::new(Kind::Heap).period(1), 0);
    for _ in 0..20 {
        let (_, profile) = service.profile("heap", expect);
        let total = profile.total("alloc_space");
        assert!(total >= allocated, "{total} after {allocated}");
        allocated = total;
        service.profile("heap?symbolize=0", expect.raw());
    }
    service.profile("heap?seconds=1", expect.delta());
}

#[test]
fn nothing_is_sampled_at_rate_0() {
    let service = LeakyService::start(&Config::new(Build::Debug, 0, 16));
    service.wait_until_full();
    let (_, profile) = service.profile("heap", Expect::new(Kind::Heap).period(0));
    assert_eq!(profile.proto.sample.len(), 0);
    assert!(Top::of(&[&service.url("heap")]).rows.is_empty());
}

#[test]
fn refusals_reach_the_user() {
    let service = LeakyService::start(&Config::new(Build::Debug, 4096, 16));
    let output = try_pprof(&["-top", &service.url("no-such-profile")]);
    assert!(!output.is_success, "{output:?}");
    assert!(output.stderr.contains("404"), "{output:?}");
    assert!(output.stderr.contains("Unknown profile"), "{output:?}");
}

#[test]
fn token_is_taken_from_the_url() {
    let token = "correct-horse-battery-staple";
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("token-{}", std::process::id()));
    fs::write(&file, format!("{token}\n")).expect("cargo's test directory is writable");
    let mut config = Config::new(Build::Debug, 4096, 16);
    config.token_file = Some(file);
    let service = LeakyService::start(&config);
    service.wait_until_full();
    let (addr, host) = (service.addr, service.checked_addr());

    let top = Top::of(&[&format!("http://user:{token}@{host}/debug/pprof/heap")]);
    assert!(top.row("cache::remember").cum > 0, "{top:#?}");

    let bearer = format!("Authorization: Bearer {token}\r\n");
    let answer = ask(addr, "GET", "/debug/pprof/heap", &bearer);
    assert_eq!(answer.status, 200, "{}", answer.text());

    let refusal = get(addr, "/debug/pprof/heap");
    assert_eq!(refusal.status, 401);
    let text = refusal.text();
    for url in [
        format!("http://user:wrong@{host}/debug/pprof/heap"),
        service.url("heap"),
    ] {
        let output = try_pprof(&["-top", &url]);
        assert!(!output.is_success, "{output:?}");
        assert!(output.stderr.contains("401"), "{output:?}");
        assert!(
            !text.trim().is_empty() && output.stderr.contains(text.trim()),
            "{text:?} is not in {output:?}"
        );
    }
}

//! `/metrics` comes in the format that `Accept` prefers, behind the same rules as the profiles.
#![cfg(feature = "http")]

mod http_client;
mod local_server;

use debug_pprof::ProfiledAllocator;
use debug_pprof::http::{Request, respond};
use http_client::{ask, exchange};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[test]
fn accept_chooses_and_head_is_get_without_a_body() {
    let (_server, addr) = local_server::start();
    for (accept, content_type) in [
        ("", TEXT),
        ("Accept: */*\r\n", TEXT),
        (
            "Accept: text/plain;q=0.9, application/openmetrics-text;q=0.8\r\n",
            TEXT,
        ),
        (
            "Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n",
            OPEN_METRICS,
        ),
        // Two lines are one list.
        (
            "Accept: text/plain;q=0.2\r\nAccept: application/openmetrics-text\r\n",
            OPEN_METRICS,
        ),
        ("Accept: \u{fc}\r\n", TEXT),
    ] {
        let answer = ask(addr, "GET", "/metrics", accept);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(content_type)),
            "{accept}"
        );
        let text = answer.text();
        assert!(text.contains("\nrust_memstats_alloc_bytes "), "{text}");
        assert_eq!(
            text.ends_with("# EOF\n"),
            content_type == OPEN_METRICS,
            "{text}"
        );
        assert_eq!(
            text.contains("# UNIT "),
            content_type == OPEN_METRICS,
            "{text}"
        );
        let head = ask(addr, "HEAD", "/metrics", accept);
        assert_eq!(
            (head.status, head.header("content-type")),
            (200, Some(content_type))
        );
        assert!(head.body.is_empty());
    }
    assert_eq!(
        ask(addr, "POST", "/metrics", "Content-Length: 0\r\n").status,
        405
    );
    assert_eq!(ask(addr, "GET", "/metrics/", "").status, 404);
    let index = ask(addr, "GET", "/debug/pprof/", "").text();
    assert!(index.contains("<a href='metrics'>"), "{index}");
    // Where that leads.
    assert_eq!(ask(addr, "GET", "/debug/pprof/metrics", "").status, 200);
}

#[test]
fn token_and_host_are_demanded_as_for_profiles() {
    let (_server, addr) = local_server::start_with(|builder| builder.bearer_token("s3cret"));
    assert_eq!(ask(addr, "GET", "/metrics", "").status, 401);
    assert_eq!(
        ask(addr, "GET", "/metrics", "Authorization: Bearer s3cret\r\n").status,
        200
    );
    let (_server, addr) = local_server::start();
    let rebound = exchange(addr, b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(rebound.status, 421);
}

#[test]
fn ones_own_router_has_it_too() {
    for target in [
        "/metrics",
        "/admin/metrics",
        "/metrics?x=1",
        "/debug/pprof/metrics",
    ] {
        let request = Request::get(target).with_accept("application/openmetrics-text");
        let answer = respond(&request);
        assert_eq!(
            (answer.status, answer.header("Content-Type")),
            (200, Some(OPEN_METRICS)),
            "{target}"
        );
    }
}

//! `HEAD` gets the headers of `GET` without a body, and neither builds a profile nor waits for a delta.
#![cfg(feature = "http")]

mod http_client;

use debug_pprof::http::Request;
use http_client::{ask, get, respond};

// No allocator is installed here: building a profile would be a 503.

#[test]
fn an_hours_delta_is_answered_at_once() {
    let addr = debug_pprof::serve("127.0.0.1:0").expect("a server");
    let answer = ask(addr, "HEAD", "/debug/pprof/heap?seconds=3600", "");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("Content-Disposition"),
        Some("attachment; filename=\"heap-delta\"")
    );
    assert!(answer.body.is_empty());
    assert_eq!(respond(&Request::head("/heap")).status, 200);
}

#[test]
fn the_rest_is_as_get_but_for_the_body() {
    let addr = debug_pprof::serve("127.0.0.1:0").expect("a server");
    for name in [
        "",
        "mutex",
        "block?debug=1",
        "cmdline",
        "symbol?0x1",
        "nope",
        "heap?seconds=x",
        "trace",
    ] {
        let target = format!("/debug/pprof/{name}");
        let (head, get) = (ask(addr, "HEAD", &target, ""), get(addr, &target));
        assert!(head.body.is_empty() && !get.body.is_empty(), "{target}");
        assert_eq!(head.status, get.status, "{target}");
        assert_eq!(
            head.header("Content-Type"),
            get.header("Content-Type"),
            "{target}"
        );
    }
}

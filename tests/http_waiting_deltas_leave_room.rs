//! Deltas take half of the connections at most, so that a plain profile can always be had.
#![cfg(feature = "http")]

mod http_client;
mod local_server;

use std::net::TcpStream;

use http_client::{get, get_when_free, send};

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

#[test]
fn the_delta_too_many_gets_503_and_heap_answers() {
    let (server, addr) = local_server::start_with(|builder| builder.max_connections(8));
    let ask = |target: &str| -> TcpStream {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        send(addr, request.as_bytes())
    };
    // Four of any kind; they wait for an hour.
    let targets = ["heap", "allocs", "goroutine", "mutex"];
    let mut waiting: Vec<_> = targets
        .map(|name| ask(&format!("/debug/pprof/{name}?seconds=3600")))
        .into();
    // They may still be on their way: a delta that overtakes one of them gets its place, and returns after its
    // second. Then another takes the place.
    let refused = loop {
        let answer = get(addr, "/debug/pprof/block?seconds=1");
        if answer.status != 200 {
            break answer;
        }
        waiting.push(ask("/debug/pprof/heap?seconds=3600"));
    };
    assert_eq!(refused.status, 503);
    assert!(refused.header("Retry-After").is_some());
    assert_eq!(refused.header("X-Go-Pprof"), Some("1"));
    assert!(refused.text().contains("seconds"));
    for _ in 0..10 {
        assert_eq!(get(addr, "/debug/pprof/heap").status, 200);
    }
    drop(waiting);
    // The clients are gone, and so are their deltas.
    assert_eq!(
        get_when_free(addr, "/debug/pprof/heap?seconds=1").status,
        200
    );
    server.shutdown();
}

#[test]
fn a_delta_longer_than_the_limit_is_refused_with_the_limit() {
    let (_server, addr) = local_server::start_with(|builder| builder.max_seconds(5));
    for seconds in ["6", "9223372036854775807"] {
        let answer = get(addr, &format!("/debug/pprof/heap?seconds={seconds}"));
        assert_eq!(answer.status, 400, "{seconds}");
        assert!(answer.text().contains("limited to 5"), "{}", answer.text());
    }
    let beyond = get(addr, "/debug/pprof/heap?seconds=9223372036854775808");
    let expected = "invalid value for \"seconds\" - must be a positive integer\n";
    assert_eq!((beyond.status, beyond.text().as_str()), (400, expected));
}

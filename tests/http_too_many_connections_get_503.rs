//! Connections beyond the limit get a 503 at once, and places are free again when others leave.
#![cfg(feature = "http")]

mod http_client;
mod local_server;

use std::time::Duration;

use http_client::{connect, exchange, get_when_free};

#[test]
fn the_one_too_many_is_told_to_come_back() {
    const PLACES: usize = 3;
    // Nobody loses a place by being idle while this test runs.
    let (server, addr) = local_server::start_with(|builder| {
        builder
            .head_timeout(Duration::from_secs(600))
            .max_connections(PLACES)
    });
    let mut idle: Vec<_> = (0..PLACES).map(|_| connect(addr)).collect();
    // More than the places for those who are told at leisure, with and without bytes that nobody reads.
    let unread = format!(
        "GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "a".repeat(4000)
    );
    for request in [unread.as_str(), "GET / HTTP/1.1\r\n\r\n"].repeat(10) {
        let answer = exchange(addr, request.as_bytes());
        assert_eq!(answer.status, 503);
        assert!(answer.header("Retry-After").is_some());
        assert!(answer.text().contains("max_connections"));
    }
    idle.pop();
    assert_eq!(get_when_free(addr, "/debug/pprof/").status, 200);
    drop(idle);
    server.shutdown();
}

//! A delta whose client goes away ends long before its time, also if the client sent more than its request.
#![cfg(all(feature = "http", target_os = "linux"))]

mod http_client;
mod local_server;

use std::io::Write;

use http_client::{get_when_free, send};

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

#[test]
fn its_place_is_free_again() {
    let (_server, addr) = local_server::start_with(|builder| builder.max_connections(2));
    let request = "GET /debug/pprof/heap?seconds=3600 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for more in ["", "garbage that hides the end"] {
        let mut stream = send(addr, request.as_bytes());
        stream.write_all(more.as_bytes()).expect("write");
        drop(stream);
        // There is one place for deltas; this would be 503 for an hour.
        assert_eq!(
            get_when_free(addr, "/debug/pprof/heap?seconds=1").status,
            200
        );
    }
}

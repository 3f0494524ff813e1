//! `shutdown` returns with idle connections, half requests and waiting deltas open, and leaves no thread.
#![cfg(all(feature = "http", target_os = "linux"))]

mod http_client;
mod local_server;

use std::fs;

use http_client::{get, send, try_read_answer};

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

/// Names of the server's threads. The one that makes unwind tables ends by itself, when it has.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names
        .filter(|name| name.starts_with("debug-pprof") && name.trim_end() != "debug-pprof-cfi")
        .collect()
}

#[test]
fn nothing_is_left() {
    let (server, addr) = local_server::start();
    let requests = [
        "",
        "GET /debug",
        "GET /debug/pprof/heap?seconds=3600 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /debug/pprof/mutex?seconds=3600 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    let clients = requests.map(|request| (send(addr, request.as_bytes()), request));
    assert_eq!(get(addr, "/debug/pprof/").status, 200);
    // One that accepts, and one for each of them: accepting is in order.
    assert!(threads().len() > requests.len(), "{:?}", threads());
    server.shutdown();
    assert_eq!(threads(), Vec::<String>::new());
    for (mut stream, request) in clients {
        // Whatever was said, and a reset counts as an end.
        let _ = try_read_answer(&mut stream, request.as_bytes());
    }
    assert!(std::net::TcpStream::connect(addr).is_err());
}

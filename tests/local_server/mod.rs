//! A server of one's own, on a free port of the loopback address; it ends when it is dropped.
#![allow(dead_code, reason = "each test file uses the part that it needs")]

use std::net::SocketAddr;

use debug_pprof::http::{Server, ServerBuilder};

pub(crate) fn start() -> (Server, SocketAddr) {
    start_with(|builder| builder)
}

/// With what `set` sets.
pub(crate) fn start_with(set: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Server, SocketAddr) {
    let builder = set(Server::builder().addr("127.0.0.1:0"));
    let server = builder.start().expect("a server");
    let addr = server.local_addr().expect("TCP");
    (server, addr)
}

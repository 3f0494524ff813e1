//! A server that cannot start says why, and never panics or keeps silent.
#![cfg(feature = "http")]

mod http_client;
mod local_server;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use debug_pprof::Error;
use debug_pprof::http::Server;

#[test]
fn a_second_serve_on_the_same_port_is_an_error_and_the_first_goes_on() {
    let addr = debug_pprof::serve("127.0.0.1:0").expect("the first");
    match debug_pprof::serve(addr) {
        Err(Error::Bind {
            addr: named,
            source,
        }) => {
            assert_eq!(named, addr.to_string());
            assert_eq!(source.kind(), io::ErrorKind::AddrInUse);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(http_client::get(addr, "/debug/pprof/").status, 200);
}

#[test]
fn a_port_can_be_had_again_after_shutdown() {
    let (server, addr) = local_server::start();
    assert_eq!(http_client::get(addr, "/debug/pprof/").status, 200);
    server.shutdown();
    let again = Server::builder().addr(addr).start().expect("the second");
    assert_eq!(http_client::get(addr, "/debug/pprof/").status, 200);
    drop(again);
    assert!(
        std::net::TcpStream::connect(addr).is_err(),
        "dropping it ends it too"
    );
}

#[test]
fn an_address_of_another_machine_is_a_bind_error() {
    // Reserved for documentation: no machine has it.
    let started = Server::builder()
        .addr("192.0.2.1:0")
        .allow_unauthenticated()
        .start();
    assert!(matches!(started, Err(Error::Bind { .. })), "{started:?}");
}

#[test]
fn values_that_make_no_sense_are_named() {
    let builder = || Server::builder().addr("127.0.0.1:0");
    for (builder, expected) in [
        (builder().addr("no port"), "addr"),
        (builder().addr(&[] as &[SocketAddr]), "addr"),
        (builder().max_connections(0), "max_connections"),
        (builder().head_timeout(Duration::ZERO), "head_timeout"),
        (builder().write_timeout(Duration::ZERO), "write_timeout"),
    ] {
        match builder.start() {
            Err(Error::Config { setting, .. }) => assert_eq!(setting, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    let forever = builder()
        .head_timeout(Duration::MAX)
        .write_timeout(Duration::MAX);
    let server = forever
        .max_connections(usize::MAX)
        .start()
        .expect("extremes are fine");
    let addr = server.local_addr().expect("TCP");
    assert_eq!(http_client::get(addr, "/debug/pprof/").status, 200);
}

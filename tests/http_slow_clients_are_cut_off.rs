//! A client that sends too slowly loses its connection, however many small steps it takes.
#![cfg(feature = "http")]

mod http_client;
mod local_server;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use debug_pprof::http::Server;
use http_client::{connect, read_answer, send};

fn impatient_server() -> (Server, SocketAddr) {
    local_server::start_with(|builder| builder.head_timeout(Duration::from_millis(100)))
}

#[test]
fn silence_is_closed_without_a_word() {
    let (_server, addr) = impatient_server();
    let mut stream = connect(addr);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end");
    assert!(answer.is_empty());
}

#[test]
fn half_a_head_and_half_a_body_are_told() {
    let (_server, addr) = impatient_server();
    let post =
        "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n0x";
    for begun in ["GET /debug", "GET / HTTP/1.1\r\nHost: ", post] {
        let mut stream = send(addr, begun.as_bytes());
        assert_eq!(
            read_answer(&mut stream, begun.as_bytes()).status,
            408,
            "{begun:?}"
        );
    }
}

#[test]
fn a_byte_now_and_then_gains_no_time() {
    let (_server, addr) = impatient_server();
    let stream = connect(addr);
    let mut writer = stream.try_clone().expect("a second handle");
    let dripper = std::thread::spawn(move || {
        // Until the server has had enough; each byte alone would be in time.
        while writer.write_all(b"a").is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let mut answer = Vec::new();
    // The dripping may end in a reset, but it ends.
    let _ = (&stream).read_to_end(&mut answer);
    drop(stream);
    dripper.join().expect("the dripper");
}

//! A request that is malformed, too long or not for us gets an answer that says so, and costs nothing.
#![cfg(feature = "http")]

mod http_client;
mod local_server;

use std::io::{Read, Write};

use debug_pprof::http::{MAX_BODY_BYTES, MAX_HEAD_BYTES};
use http_client::{Answer, connect, exchange, get, send};

/// `POST /symbol` with these header lines and this body.
fn post(headers: &str, body: &str) -> Vec<u8> {
    let target = "/debug/pprof/symbol";
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{body}").into_bytes()
}

fn get_with(headers: &str) -> Vec<u8> {
    format!("GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

#[test]
fn each_gets_its_status() {
    let (_server, addr) = local_server::start();
    let too_long = "a".repeat(MAX_BODY_BYTES + 1);
    let long_line = "a".repeat(MAX_HEAD_BYTES);
    let many = "X: y\r\n".repeat(100);
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        ("plain", get_with(""), 200),
        (
            "empty lines first",
            [b"\r\n\r\n".to_vec(), get_with("")].concat(),
            200,
        ),
        ("HTTP/2.0", b"GET / HTTP/2.0\r\n\r\n".to_vec(), 505),
        (
            "HTTP/2 preface",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            505,
        ),
        ("HTTP/0.9", b"GET /\r\n\r\n".to_vec(), 400),
        ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00".to_vec(), 400),
        ("no method", b" / HTTP/1.1\r\n\r\n".to_vec(), 400),
        (
            "NUL in the target",
            b"GET /\0 HTTP/1.1\r\n\r\n".to_vec(),
            400,
        ),
        (
            "bare LF after the request line",
            b"GET / HTTP/1.1\nHost: a\r\n\r\n".to_vec(),
            400,
        ),
        ("bare LF in the headers", get_with("X: a\nY: b\r\n"), 400),
        (
            "bare LF everywhere",
            b"GET /debug/pprof/ HTTP/1.0\n\n".to_vec(),
            400,
        ),
        ("CR in a value", get_with("X: a\rb\r\n"), 400),
        ("folded header", get_with("X: a\r\n b\r\n"), 400),
        ("header without a colon", get_with("nonsense\r\n"), 400),
        ("space before the colon", get_with("X : a\r\n"), 400),
        (
            "endless request line",
            format!("GET /{long_line}").into_bytes(),
            431,
        ),
        (
            "endless header",
            get_with(&format!("X: {long_line}\r\n")),
            431,
        ),
        ("too many headers", get_with(&many), 431),
        (
            "chunks",
            post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n"),
            411,
        ),
        (
            "chunks and a length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", "a"),
            411,
        ),
        (
            "huge length",
            post("Content-Length: 1000000000000000\r\n", ""),
            413,
        ),
        (
            "largest length",
            post("Content-Length: 18446744073709551615\r\n", ""),
            413,
        ),
        (
            "larger than any",
            post("Content-Length: 99999999999999999999999\r\n", ""),
            413,
        ),
        (
            "body too long",
            post(
                &format!("Content-Length: {}\r\n", too_long.len()),
                &too_long,
            ),
            413,
        ),
        ("negative length", post("Content-Length: -1\r\n", ""), 400),
        ("signed length", post("Content-Length: +1\r\n", "a"), 400),
        ("length in words", post("Content-Length: one\r\n", "a"), 400),
        ("empty length", post("Content-Length:\r\n", "a"), 400),
        (
            "two lengths",
            post("Content-Length: 1\r\nContent-Length: 1\r\n", "a"),
            400,
        ),
        (
            "huge length on GET",
            get_with("Content-Length: 1000000000000000\r\n"),
            200,
        ),
        (
            "unknown expectation",
            post("Expect: wonders\r\nContent-Length: 1\r\n", ""),
            417,
        ),
        (
            "not our path",
            b"GET /debug/pprofx HTTP/1.0\r\n\r\n".to_vec(),
            404,
        ),
        (
            "escaped path",
            b"GET /debug/pprof/%68eap HTTP/1.0\r\n\r\n".to_vec(),
            404,
        ),
        (
            "escaped slash",
            b"GET /debug%2fpprof/heap HTTP/1.0\r\n\r\n".to_vec(),
            404,
        ),
        (
            "dots",
            b"GET /debug/pprof/../pprof/ HTTP/1.0\r\n\r\n".to_vec(),
            404,
        ),
        ("asterisk", b"OPTIONS * HTTP/1.0\r\n\r\n".to_vec(), 404),
        (
            "unknown method",
            b"BREW /debug/pprof/ HTTP/1.0\r\n\r\n".to_vec(),
            405,
        ),
        (
            "pipelined garbage",
            [get_with(""), vec![b'x'; 100_000]].concat(),
            200,
        ),
        ("pipelined requests", get_with("").repeat(1000), 200),
    ];
    for (what, bytes, status) in &rows {
        assert_eq!(exchange(addr, bytes).status, *status, "{what}");
    }
    for (what, bytes, status) in &rows {
        // The same, a byte at a time: the answer does not depend on how the bytes are cut.
        if bytes.len() < 200 {
            assert_eq!(dripped(addr, bytes).status, *status, "{what}, dripped");
        }
    }
    assert_eq!(
        get(addr, "/debug/pprof/").status,
        200,
        "and it still answers"
    );
}

fn dripped(addr: std::net::SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = connect(addr);
    stream.set_nodelay(true).expect("set_nodelay");
    for byte in bytes {
        // The server may have made up its mind.
        let _ = stream.write_all(&[*byte]);
    }
    http_client::read_answer(&mut stream, bytes)
}

#[test]
fn elsewhere_is_gos_404() {
    let addr = debug_pprof::serve("127.0.0.1:0").expect("a server");
    for target in ["/", "/heap", "/x/debug/pprof/heap", "//debug/pprof/heap"] {
        let answer = get(addr, target);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (404, "404 page not found\n"),
            "{target}"
        );
    }
}

#[test]
fn a_cut_off_request_is_no_request() {
    let addr = debug_pprof::serve("127.0.0.1:0").expect("a server");
    for (sent, expected) in [("", ""), ("GET /debug/pprof/ HT", "HTTP/1.1 400 ")] {
        let mut stream = send(addr, sent.as_bytes());
        stream
            .shutdown(std::net::Shutdown::Write)
            .expect("shutdown");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an end");
        assert!(
            answer.starts_with(expected) && answer.is_empty() == expected.is_empty(),
            "{answer}"
        );
    }
}

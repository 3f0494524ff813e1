//! `POST /symbol` is answered, whole or after a 100, as `go tool pprof` and curl send it.
#![cfg(feature = "http")]

mod http_client;

use std::io::{Read, Write};

use http_client::{exchange, read_answer, send};

#[test]
fn the_body_is_read_to_its_length() {
    let addr = debug_pprof::serve("127.0.0.1:0").expect("a server");
    let longest = "0x1+".repeat(16 * 1024);
    for (body, more) in [
        ("0x1+2+03", ""),
        ("0x1", "+0x2 and what follows"),
        ("", ""),
        (longest.as_str(), ""),
    ] {
        let length = body.len();
        let request = format!(
            "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}{more}"
        );
        let answer = exchange(addr, request.as_bytes());
        assert_eq!(answer.status, 200);
        assert!(answer.text().starts_with("num_symbols: 1\n"));
    }
}

#[test]
fn a_client_that_waits_for_100_gets_it() {
    let addr = debug_pprof::serve("127.0.0.1:0").expect("a server");
    let head = "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
                Content-Length: 3\r\n\r\n";
    let mut stream = send(addr, head.as_bytes());
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).expect("an interim answer");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"0x1").expect("write");
    assert_eq!(read_answer(&mut stream, head.as_bytes()).status, 200);
}

#[test]
fn the_client_does_not_choose_the_answers_size() {
    let addr = debug_pprof::serve("127.0.0.1:0").expect("a server");
    let here = the_client_does_not_choose_the_answers_size as fn() as usize;
    let body = format!("{here:#x}+").repeat(10_000);
    let head = "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\n";
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    let answer = exchange(addr, format!("{head}{length}{body}").as_bytes());
    // Its name once, or not at all where there are no names.
    let lines = 1 + usize::from(cfg!(feature = "symbolize"));
    assert_eq!(answer.text().lines().count(), lines);
}

//! The adapter answers what `respond` answers, through a tiny_http server.
#![cfg(feature = "tiny_http")]

mod http_client;

use std::net::SocketAddr;

use debug_pprof::http::{MAX_BODY_BYTES, Request};
use http_client::{CLOSE, ask, exchange, respond};

/// What of an answer is the same a moment later: threads come and go, and so do their counts on the index page.
fn lasting(target: &str, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    match target {
        "/debug/pprof/goroutine?debug=1" => {
            body.chars().take_while(|it| !it.is_numeric()).collect()
        }
        "/debug/pprof/" => body.chars().filter(|it| !it.is_numeric()).collect(),
        _ => body.into_owned(),
    }
}

#[test]
fn answers_are_the_same() {
    let server = tiny_http::Server::http("127.0.0.1:0").expect("a server");
    let addr: SocketAddr = server.server_addr().to_ip().expect("TCP");
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            debug_pprof::http::tiny_http::respond(request).expect("an answer");
        }
    });
    for (method, target) in [
        ("GET", "/debug/pprof/"),
        ("GET", "/debug/pprof/cmdline"),
        ("GET", "/debug/pprof/goroutine?debug=1"),
        ("GET", "/debug/pprof/block?debug=1"),
        ("GET", "/debug/pprof/heap?seconds=x"),
        ("GET", "/debug/pprof/nope"),
        ("GET", "/debug/pprof"),
        ("POST", "/debug/pprof/heap"),
        ("POST", "/debug/pprof/symbol"),
        ("HEAD", "/debug/pprof/mutex"),
    ] {
        let expected = respond(&Request::new(method, target, Vec::new()));
        let answer = ask(addr, method, target, CLOSE);
        assert_eq!(answer.status, expected.status, "{method} {target}");
        assert_eq!(
            lasting(target, &answer.body),
            lasting(target, &expected.body),
            "{method} {target}"
        );
        for (name, value) in &expected.headers {
            assert_eq!(
                answer.header(name),
                Some(value.as_str()),
                "{method} {target}"
            );
        }
    }
    let length = MAX_BODY_BYTES + 1;
    let body = "1".repeat(length);
    let request = format!(
        "POST /debug/pprof/symbol HTTP/1.1\r\nHost: a\r\n{CLOSE}Content-Length: {length}\r\n\r\n{body}"
    );
    assert_eq!(exchange(addr, request.as_bytes()).status, 413);
}

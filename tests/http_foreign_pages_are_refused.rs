//! No web page can use a visitor's browser to ask here: not under a name of its own, and not across sites.
#![cfg(feature = "http")]

mod http_client;
mod local_server;

use debug_pprof::Error;
use debug_pprof::http::Server;
use http_client::exchange;

#[test]
fn the_host_must_be_an_address_localhost_or_allowed() {
    let (_server, addr) =
        local_server::start_with(|builder| builder.allow_host("Billing.internal"));
    for (request, status) in [
        ("GET /debug/pprof/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200),
        (
            "GET /debug/pprof/ HTTP/1.1\r\nHost: 10.0.0.7:6060\r\n\r\n",
            200,
        ),
        (
            "GET /debug/pprof/ HTTP/1.1\r\nHost: [::1]:6060\r\n\r\n",
            200,
        ),
        (
            "GET /debug/pprof/ HTTP/1.1\r\nHost: localhost:6060\r\n\r\n",
            200,
        ),
        (
            "GET /debug/pprof/ HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
            200,
        ),
        (
            "GET /debug/pprof/ HTTP/1.1\r\nHost: billing.INTERNAL:80\r\n\r\n",
            200,
        ),
        (
            "GET http://localhost/debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
            200,
        ),
        ("GET /debug/pprof/ HTTP/1.0\r\n\r\n", 200),
        (
            "GET /debug/pprof/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            421,
        ),
        (
            "GET /debug/pprof/ HTTP/1.1\r\nHost: localhost.evil.example:6060\r\n\r\n",
            421,
        ),
        (
            "GET /debug/pprof/ HTTP/1.1\r\nHost: x.billing.internal\r\n\r\n",
            421,
        ),
        (
            "GET /debug/pprof/ HTTP/1.0\r\nHost: evil.example\r\n\r\n",
            421,
        ),
        (
            "GET http://evil.example/debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
            421,
        ),
        ("GET /debug/pprof/ HTTP/1.1\r\nHost:\r\n\r\n", 421),
        ("GET /debug/pprof/ HTTP/1.1\r\n\r\n", 400),
        (
            "GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
            400,
        ),
    ] {
        assert_eq!(
            exchange(addr, request.as_bytes()).status,
            status,
            "{request:?}"
        );
    }
    let refused = exchange(
        addr,
        b"GET /debug/pprof/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    );
    assert!(
        refused.text().contains("allow_host"),
        "the text says what to do"
    );
}

#[test]
fn requests_across_sites_are_refused() {
    let (_server, addr) = local_server::start();
    for (headers, status) in [
        ("", 200),
        ("Sec-Fetch-Site: none\r\n", 200),
        ("Sec-Fetch-Site: same-origin\r\n", 200),
        ("Sec-Fetch-Site: cross-site\r\n", 403),
        ("Sec-Fetch-Site: Cross-Site\r\n", 403),
        ("Origin: http://localhost:6060\r\n", 200),
        ("Origin: http://localhost:3000\r\n", 403),
        ("Origin: https://evil.example\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin:\r\n", 403),
    ] {
        let request =
            format!("GET /debug/pprof/ HTTP/1.1\r\nHost: localhost:6060\r\n{headers}\r\n");
        let answer = exchange(addr, request.as_bytes());
        assert_eq!(answer.status, status, "{headers:?}");
        assert!(answer.header("Access-Control-Allow-Origin").is_none());
    }
}

#[test]
fn a_host_to_allow_must_be_a_name() {
    for name in ["", "http://billing", "*"] {
        let started = Server::builder()
            .addr("127.0.0.1:0")
            .allow_host(name)
            .start();
        assert!(
            matches!(&started, Err(Error::Config { setting, .. }) if setting == "allow_host"),
            "{name:?}: {started:?}"
        );
    }
}

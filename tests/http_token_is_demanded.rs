//! With a token, nothing is answered to a client that does not show it, as Bearer or as a Basic password.
#![cfg(feature = "http")]

mod http_client;
mod local_server;

use std::fs;

use debug_pprof::Error;
use debug_pprof::http::Server;
use http_client::ask;

#[test]
fn bearer_and_basic_open_and_nothing_else_does() {
    let (_server, addr) = local_server::start_with(|builder| builder.bearer_token("s3cret"));
    for (header, status) in [
        ("Authorization: Bearer s3cret\r\n", 200),
        // any:s3cret
        ("Authorization: Basic YW55OnMzY3JldA==\r\n", 200),
        ("", 401),
        ("Authorization: Bearer s3cre\r\n", 401),
        ("Authorization: Bearer s3crets\r\n", 401),
        ("Authorization: Bearer\r\n", 401),
        // s3cret:any
        ("Authorization: Basic czNjcmV0OmFueQ==\r\n", 401),
        (
            "Authorization: Bearer s3cret\r\nAuthorization: Bearer s3cret\r\n",
            400,
        ),
    ] {
        for target in [
            "/debug/pprof/",
            "/debug/pprof/block?debug=1",
            "/debug/pprof/cmdline",
        ] {
            let answer = ask(addr, "GET", target, header);
            assert_eq!(answer.status, status, "{target} {header:?}");
        }
        let elsewhere = ask(addr, "GET", "/", header);
        assert_eq!(
            elsewhere.status,
            if status == 200 { 404 } else { status },
            "{header:?}"
        );
    }
    let refused = ask(addr, "GET", "/debug/pprof/heap", "");
    // What makes a browser ask for a password, and `go tool pprof` show the text.
    assert!(
        refused
            .header("WWW-Authenticate")
            .is_some_and(|value| value.starts_with("Basic realm="))
    );
    assert_eq!(refused.header("X-Go-Pprof"), Some("1"));
    assert!(refused.text().contains("token"));
}

#[test]
fn a_token_comes_from_a_file_without_the_white_space_around_it() {
    let path = std::env::temp_dir().join(format!("pprof-token-{}", std::process::id()));
    fs::write(&path, "from-file\n").expect("a file");
    let (_server, addr) = local_server::start_with(|builder| builder.token_file(&path));
    let shown = "Authorization: Bearer from-file\r\n";
    assert_eq!(ask(addr, "GET", "/debug/pprof/", shown).status, 200);
    assert_eq!(ask(addr, "GET", "/debug/pprof/", "").status, 401);
    fs::remove_file(&path).expect("the file");
}

#[test]
fn a_token_that_cannot_be_used_starts_no_server() {
    let path = std::env::temp_dir().join(format!("pprof-no-token-{}", std::process::id()));
    fs::write(&path, " \n").expect("a file");
    let with_text = |token: &str| Server::builder().addr("127.0.0.1:0").bearer_token(token);
    let with_file = |path: &str| Server::builder().addr("127.0.0.1:0").token_file(path);
    for (builder, setting) in [
        (with_text(""), "bearer_token"),
        (with_text("two words"), "bearer_token"),
        (with_text("new\r\nline"), "bearer_token"),
        (with_file(path.to_str().expect("UTF-8")), "token_file"),
        (with_file("/nonexistent/token"), "token_file"),
        (with_file("/dev/zero"), "token_file"),
        (with_file("/"), "token_file"),
    ] {
        let shown = format!("{builder:?}");
        assert!(!shown.contains("two words"), "the token is in {shown}");
        match builder.start() {
            Err(Error::Config { setting: named, .. }) => assert_eq!(named, setting, "{shown}"),
            other => panic!("{shown}: {other:?}"),
        }
    }
    fs::remove_file(&path).expect("the file");
}

#[test]
fn with_a_token_any_host_name_will_do() {
    let (_server, addr) = local_server::start_with(|builder| builder.bearer_token("s3cret"));
    let named = "GET /debug/pprof/ HTTP/1.1\r\nHost: svc.namespace.example:6060\r\n";
    for (authorization, status) in [("Authorization: Bearer s3cret\r\n", 200), ("", 401)] {
        let answer = http_client::exchange(addr, format!("{named}{authorization}\r\n").as_bytes());
        assert_eq!(answer.status, status);
    }
}

//! `DEBUG_PPROF_ADDR` starts a server, `DEBUG_PPROF_TOKEN_FILE` closes it, and bad values are named.
#![cfg(feature = "http")]

mod http_client;
mod local_server;

use std::env;
use std::process::Command;

use debug_pprof::http::serve_from_env;
use http_client::ask;

/// What the process that this file starts prints before its verdict.
const VERDICT: &str = "verdict: ";

/// The environment belongs to a process, so each row has one of its own, which runs this same test.
#[test]
fn each_environment_has_its_verdict() {
    if env::var_os("PPROF_TEST_CHILD").is_some() {
        return println!("{VERDICT}{}", verdict());
    }
    let token = env::temp_dir().join(format!("pprof-env-token-{}", std::process::id()));
    std::fs::write(&token, "s3cret\n").expect("a file");
    let token = token.to_str().expect("UTF-8");
    for (addr, token_file, expected) in [
        (None, None, "no server, builder 200"),
        (Some(""), None, "no server, builder 200"),
        (Some("127.0.0.1:0"), None, "open"),
        (Some("127.0.0.1:0"), Some(token), "closed"),
        (Some("0.0.0.0:0"), Some(token), "closed"),
        (None, Some(token), "no server, builder 401"),
        (Some("0.0.0.0:0"), None, "refusing to listen on 0.0.0.0:0"),
        (Some("6060"), None, "DEBUG_PPROF_ADDR: "),
        (Some(":6060"), None, "DEBUG_PPROF_ADDR: "),
        (Some("127.0.0.1"), None, "DEBUG_PPROF_ADDR: "),
        (Some("127.0.0.1:0"), Some(""), "DEBUG_PPROF_TOKEN_FILE: "),
        (
            Some("127.0.0.1:0"),
            Some("/nonexistent"),
            "DEBUG_PPROF_TOKEN_FILE: ",
        ),
        (
            Some("127.0.0.1:0"),
            Some("/dev/null"),
            "DEBUG_PPROF_TOKEN_FILE: ",
        ),
    ] {
        let mut child = Command::new(env::current_exe().expect("this program"));
        child.args(["--exact", "each_environment_has_its_verdict", "--nocapture"]);
        child.env("PPROF_TEST_CHILD", "1");
        let settings = [
            ("DEBUG_PPROF_ADDR", addr),
            ("DEBUG_PPROF_TOKEN_FILE", token_file),
        ];
        for (name, value) in settings {
            match value {
                Some(value) => child.env(name, value),
                None => child.env_remove(name),
            };
        }
        let output = child.output().expect("a child");
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        let verdict = output
            .split_once(VERDICT)
            .map_or(output.as_str(), |(_, verdict)| verdict);
        assert!(
            verdict.starts_with(expected),
            "{addr:?} {token_file:?}: {verdict}"
        );
    }
    std::fs::remove_file(token).expect("the file");
}

fn verdict() -> String {
    let addr = match serve_from_env() {
        Err(error) => return error.to_string(),
        Ok(Some(addr)) => addr,
        Ok(None) => {
            let (_server, addr) = local_server::start();
            let status = ask(addr, "GET", "/debug/pprof/", "").status;
            return format!("no server, builder {status}");
        }
    };
    let addr = ([127, 0, 0, 1], addr.port()).into();
    let shown = "Authorization: Bearer s3cret\r\n";
    assert_eq!(ask(addr, "GET", "/debug/pprof/", shown).status, 200);
    match ask(addr, "GET", "/debug/pprof/", "").status {
        200 => "open".to_owned(),
        401 => "closed".to_owned(),
        other => other.to_string(),
    }
}

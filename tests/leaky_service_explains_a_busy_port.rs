//! A port that is taken ends the example with a message that says what to do, not with a panic.

mod example_binary;

use std::net::TcpListener;
use std::process::Command;

use example_binary::{Build, executable};

#[test]
fn busy_port_is_a_message_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("it is bound").to_string();
    let output = Command::new(executable("leaky_service", Build::Debug, &[]))
        .args(["--seconds", "60"])
        .env("DEBUG_PPROF_ADDR", &addr)
        .output()
        .expect("leaky_service can be started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("leaky_service: "), "{stderr}");
    assert!(
        stderr.contains(&addr) && stderr.contains("in use"),
        "{stderr}"
    );
    assert!(!stderr.contains("panicked"), "{stderr}");
}

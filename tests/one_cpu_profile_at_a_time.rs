//! While one CPU profile is taken the next gets Go's refusal; the first ends with its client, whether that goes or stays; and a
//! child that is forked meanwhile takes its own.
#![cfg(all(feature = "http", target_arch = "x86_64", target_env = "gnu"))]

mod http_client;
mod local_server;
mod own_process;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::http::Request;
use http_client::{get, respond, send};
use own_process::{Ended, OwnProcess, part};

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

const TEST: &str = "one_cpu_profile_at_a_time";

const WATCHDOG: Duration = Duration::from_secs(60);

const BUSY: &str = "Could not enable CPU profiling: cpu profiling already in use\n";

/// Asks for a second until the answer has this status.
fn wait_for(addr: SocketAddr, status: u16) -> String {
    let start = Instant::now();
    loop {
        let answer = get(addr, "/debug/pprof/profile?seconds=1");
        if answer.status == status {
            return match status {
                200 => String::new(),
                _ => answer.text(),
            };
        }
        assert!(
            start.elapsed() < WATCHDOG,
            "{}: {}",
            answer.status,
            answer.text()
        );
        thread::sleep(Duration::from_millis(10));
    }
}

fn child_takes_its_own() {
    // SAFETY: the child takes a profile, which is what the test is about, and ends with `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            // Ends a child that hangs.
            // SAFETY: no preconditions.
            unsafe { libc::alarm(60) };
            let answer = respond(&Request::get("/debug/pprof/profile?seconds=1&symbolize=0"));
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(i32::from(answer.status != 200)) }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for our child; `status` is valid to write to.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!((waited, status), (child, 0));
        }
    }
}

fn one_at_a_time() {
    let (_server, addr) = local_server::start();
    let request = "GET /debug/pprof/profile?seconds=3600 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let start = Instant::now();
    let first = loop {
        let first = send(addr, request.as_bytes());
        thread::sleep(Duration::from_millis(100));
        // On a busy machine this one may be there before it, and take its place.
        let next = get(addr, "/debug/pprof/profile?seconds=1");
        if next.status == 500 {
            assert_eq!(next.text(), BUSY);
            break first;
        }
        assert!(start.elapsed() < WATCHDOG, "{}", next.status);
    };
    // Only headers are no profile.
    assert_eq!(
        respond(&Request::head("/debug/pprof/profile?seconds=3600")).status,
        200
    );
    // Nor does it keep anything else waiting.
    assert_eq!(get(addr, "/debug/pprof/goroutine").status, 200);
    assert_eq!(get(addr, "/debug/pprof/heap").status, 200);
    child_takes_its_own();
    assert_eq!(wait_for(addr, 500), BUSY);
    drop(first);
    // This would be refused for an hour.
    wait_for(addr, 200);
    wait_for(addr, 200);
    for (query, status) in [("hz=0", 400), ("hz=x", 400), ("seconds=3601", 400)] {
        assert_eq!(
            get(addr, &format!("/debug/pprof/profile?{query}")).status,
            status,
            "{query}"
        );
    }
}

#[test]
fn one_cpu_profile_at_a_time() {
    match part().as_deref() {
        Some("profiles") => one_at_a_time(),
        // A profile that does not end with its client keeps its server.
        _ => match OwnProcess::of(TEST, "profiles")
            .limit(Duration::from_secs(120))
            .ended()
        {
            Ended::Well(_) => {}
            other => panic!("{other:?}"),
        },
    }
}

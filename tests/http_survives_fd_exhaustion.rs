//! A process that runs out of file descriptors gets its endpoint back when it has some again.
#![cfg(all(feature = "http", target_os = "linux"))]

mod http_client;
mod local_server;

use std::env;
use std::fs::File;
use std::process::Command;

use http_client::{connect, get};

/// In a process of its own, because the limit counts for all of it.
#[test]
fn it_answers_again() {
    if env::var_os("PPROF_TEST_CHILD").is_some() {
        return exhaust_and_recover();
    }
    let mut child = Command::new(env::current_exe().expect("this program"));
    child
        .args(["--exact", "it_answers_again", "--nocapture"])
        .env("PPROF_TEST_CHILD", "1");
    let output = child.output().expect("a child");
    assert!(output.status.success(), "{output:?}");
}

fn exhaust_and_recover() {
    let limit = libc::rlimit {
        rlim_cur: 40,
        rlim_max: 40,
    };
    // SAFETY: `limit` is a valid rlimit and is only read.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    let (server, addr) = local_server::start();
    for _ in 0..3 {
        let mut hoard: Vec<File> = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        // One descriptor for the client: the connection is made by the kernel, and accepting it fails.
        hoard.pop();
        let waiting = connect(addr);
        std::thread::sleep(std::time::Duration::from_millis(200));
        drop(hoard);
        assert_eq!(get(addr, "/debug/pprof/").status, 200);
        drop(waiting);
    }
    // Stopping needs no descriptor.
    let mut hoard: Vec<File> = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    server.shutdown();
}

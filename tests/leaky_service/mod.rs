//! `examples/leaky_service` as a process: built, started, read, and killed when dropped.

#![allow(dead_code, reason = "each test crate uses the part that it needs")]

mod build;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

pub(crate) use self::build::{Build, executable};
use crate::http_get::{self, Response};
use crate::validator::{self, Expect, Profile};

/// Orphans of a killed test run end by themselves.
const SECONDS_AT_MOST: &str = "600";

/// How to start it.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) build: Build,
    /// `DEBUG_PPROF_RATE`; 1 makes every number exact.
    pub(crate) rate: u32,
    pub(crate) leak_mb: u32,
    pub(crate) token_file: Option<PathBuf>,
}

impl Config {
    pub(crate) const fn new(build: Build, rate: u32, leak_mb: u32) -> Config {
        Config {
            build,
            rate,
            leak_mb,
            token_file: None,
        }
    }
}

pub(crate) struct LeakyService {
    child: Child,
    lines: Receiver<String>,
    /// Where the profiler listens.
    pub(crate) addr: SocketAddr,
}

impl LeakyService {
    /// Starts it on a free port and reads the port from its output.
    pub(crate) fn start(config: &Config) -> LeakyService {
        let mut command = Command::new(executable(config.build));
        command
            .args([
                "--seconds",
                SECONDS_AT_MOST,
                "--leak-mb",
                &config.leak_mb.to_string(),
            ])
            .env("DEBUG_PPROF_ADDR", "127.0.0.1:0")
            .env("DEBUG_PPROF_RATE", config.rate.to_string())
            .env_remove("DEBUG_PPROF_TOKEN_FILE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(file) = &config.token_file {
            command.env("DEBUG_PPROF_TOKEN_FILE", file);
        }
        let mut child = command.spawn().expect("leaky_service can be started");
        let lines = read_lines(child.stdout.take().expect("its output is piped"));
        let line = wait_for(&lines, "profiler  http");
        let host = line
            .split("http://")
            .nth(1)
            .and_then(|url| url.split('/').next());
        let addr = host
            .and_then(|host| host.parse().ok())
            .unwrap_or_else(|| panic!("no address in {line:?}"));
        LeakyService { child, lines, addr }
    }

    /// Returns when all leaks are complete: from then on in-use memory is the same in every run.
    pub(crate) fn wait_until_full(&self) {
        wait_for(&self.lines, "leak cap reached");
    }

    pub(crate) fn url(&self, profile: &str) -> String {
        format!("http://{}/debug/pprof/{profile}", self.addr)
    }

    pub(crate) fn get(&self, profile: &str) -> Response {
        http_get::get(self.addr, &format!("/debug/pprof/{profile}")).expect("the profiler answers")
    }

    /// Fetches and validates.
    #[track_caller]
    pub(crate) fn profile(&self, path: &str, expect: Expect) -> (Vec<u8>, Profile) {
        let response = self.get(path);
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        let profile = validator::assert_valid(&response.body, expect.binary("leaky_service"));
        (response.body, profile)
    }
}

impl Drop for LeakyService {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end on a thread, so that the child never blocks on a full pipe.
fn read_lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens any more: keep reading.
            let _ = sender.send(line);
        }
    });
    lines
}

fn wait_for(lines: &Receiver<String>, text: &str) -> String {
    let mut said = Vec::new();
    for line in lines {
        if line.contains(text) {
            return line;
        }
        said.push(line);
    }
    panic!(
        "leaky_service ended before it said {text:?}; it said {said:#?}, and see above for its errors"
    );
}

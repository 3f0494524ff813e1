//! `examples/leaky_service` as a process, and its profiles.

#![allow(dead_code, reason = "each test crate uses the part that it needs")]

mod checking_proxy;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::example_binary::{self, Build, Process};
use crate::http_client::validator::{self, Expect, Profile};
use crate::http_client::{self, Answer};

/// Its file name.
pub(crate) const NAME: &str = "leaky_service";

/// Orphans of a killed test run end by themselves.
const SECONDS_AT_MOST: &str = "600";

/// How often each leak happens in an [exact](Config::exact) run, by `examples/leaky_service/leak_cap.rs`: 78 turns of
/// four pages, four pictures and one ticker.
const TICKERS: i64 = 78;
const PAGES: i64 = 4 * TICKERS;

/// What stays alive of each leak in an exact run.
pub(crate) const CACHE_BYTES: i64 = PAGES * (64 << 10);
pub(crate) const PREVIEWS_BYTES: i64 = PAGES * (36 << 10);
pub(crate) const TICKERS_BYTES: i64 = TICKERS * (24 << 10);

/// Builds it.
pub(crate) fn executable(build: Build) -> PathBuf {
    example_binary::executable(NAME, build, &[])
}

/// How to start it.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) build: Build,
    /// `DEBUG_PPROF_RATE`; 1 makes every number exact.
    pub(crate) rate: u32,
    pub(crate) leak_mb: u32,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) stuck_tasks: u32,
}

impl Config {
    pub(crate) const fn new(build: Build, rate: u32, leak_mb: u32) -> Config {
        Config {
            build,
            rate,
            leak_mb,
            token_file: None,
            stuck_tasks: 0,
        }
    }

    /// Everything is sampled, and the leaks end soon.
    pub(crate) const fn exact(build: Build) -> Config {
        Config::new(build, 1, 32)
    }
}

pub(crate) struct LeakyService {
    process: Process,
    /// Where the profiler listens.
    pub(crate) addr: SocketAddr,
}

impl LeakyService {
    pub(crate) fn start(config: &Config) -> LeakyService {
        LeakyService::start_executable(executable(config.build), config)
    }

    /// Starts this copy of the executable, whatever was done to it, on a free port.
    pub(crate) fn start_executable(executable: PathBuf, config: &Config) -> LeakyService {
        let mut command = Command::new(executable);
        command
            .args(["--seconds", SECONDS_AT_MOST])
            .args(["--leak-mb", &config.leak_mb.to_string()])
            .args(["--stuck-tasks", &config.stuck_tasks.to_string()])
            .env("DEBUG_PPROF_ADDR", "127.0.0.1:0")
            .env("DEBUG_PPROF_RATE", config.rate.to_string())
            .env_remove("DEBUG_PPROF_TOKEN_FILE");
        if let Some(file) = &config.token_file {
            command.env("DEBUG_PPROF_TOKEN_FILE", file);
        }
        let process = Process::start(&mut command);
        let addr = process.wait_for_addr("profiler  http");
        LeakyService { process, addr }
    }

    /// Returns when all leaks are complete: from then on in-use memory is the same in every run.
    pub(crate) fn wait_until_full(&self) {
        self.process.wait_for("leak cap reached");
    }

    /// For another client, whose profiles the validator is to see as well.
    pub(crate) fn checked_addr(&self) -> SocketAddr {
        checking_proxy::start(self.addr)
    }

    /// As `checked_addr`, as a whole.
    pub(crate) fn url(&self, profile: &str) -> String {
        format!("http://{}/debug/pprof/{profile}", self.checked_addr())
    }

    pub(crate) fn get(&self, profile: &str) -> Answer {
        http_client::get(self.addr, &format!("/debug/pprof/{profile}"))
    }

    /// Fetches, and validates with all that is known of the service.
    #[track_caller]
    pub(crate) fn profile(&self, path: &str, expect: Expect) -> (Vec<u8>, Profile) {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let profile = validator::assert_valid(&answer.body, expect.binary(NAME));
        (answer.body, profile)
    }
}

//! Heap profiles of finished runs, taken once and read by many tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::example_binary::Build;
use crate::leaky_service::{Config, LeakyService};
use crate::validator::{Expect, Kind, Profile};

pub(crate) struct Captured {
    pub(crate) profile: Profile,
    file: PathBuf,
    raw_file: PathBuf,
}

impl Captured {
    fn take(name: &str, config: &Config) -> Captured {
        let service = LeakyService::start(config);
        service.wait_until_full();
        let expect = Expect::new(Kind::Heap).period(config.rate.into());
        let (body, profile) = service.profile("heap", expect);
        let (raw_body, _) = service.profile("heap?symbolize=0", expect.raw());
        Captured {
            profile,
            file: save(name, &body),
            raw_file: save(&format!("{name}-raw"), &raw_body),
        }
    }

    /// As an argument of the tool.
    pub(crate) fn file(&self) -> &str {
        self.file.to_str().expect("the target directory is UTF-8")
    }

    /// The same, for the consumer to symbolize.
    pub(crate) fn raw_file(&self) -> &str {
        self.raw_file
            .to_str()
            .expect("the target directory is UTF-8")
    }
}

fn save(name: &str, body: &[u8]) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("go_tool_pprof-{}-{name}.pb.gz", std::process::id()));
    fs::write(&file, body).expect("cargo's test directory is writable");
    file
}

pub(crate) fn first_run() -> &'static Captured {
    static RUN: OnceLock<Captured> = OnceLock::new();
    RUN.get_or_init(|| Captured::take("first", &Config::exact(Build::Debug)))
}

/// The same program in another process: other addresses, the same leaks.
pub(crate) fn second_run() -> &'static Captured {
    static RUN: OnceLock<Captured> = OnceLock::new();
    RUN.get_or_init(|| Captured::take("second", &Config::exact(Build::Debug)))
}

/// As it is used: an optimised build, sampled at the default rate.
pub(crate) fn release_run() -> &'static Captured {
    static RUN: OnceLock<Captured> = OnceLock::new();
    RUN.get_or_init(|| Captured::take("release", &Config::new(Build::Release, 512 << 10, 128)))
}

//! A small HTTP service that leaks in the ways that Go's users are taught to look for, with its own load.
//!
//! | function | what is wrong | seen in |
//! |---|---|---|
//! | [`cache::remember`] | a cache without eviction | inuse_space |
//! | [`previews::keep_slice`] | ten bytes that keep a whole picture alive | inuse_space |
//! | [`tickers::start`] | a timer that nobody stops | inuse_space, further down |
//! | [`requests::render`] | nothing: healthy churn | alloc_space only |
//! | [`backend::start`], with `--stuck-tasks N` | tasks that wait for replies that never come | goroutine |
//!
//! ```sh
//! cargo run --release --example leaky_service
//! go tool pprof -top http://127.0.0.1:6060/debug/pprof/heap
//! ```
//!
//! It can be left running: the leaks stop at a cap, the traffic goes on.

mod backend;
mod cache;
mod leak_cap;
mod load;
mod options;
mod previews;
mod requests;
mod screen;
mod service;
mod tickers;

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::leak_cap::LeakCap;
use crate::options::Options;
use crate::screen::Screen;
use crate::service::Service;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("leaky_service: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    debug_pprof::watch(options.watch).map_err(|e| e.to_string())?;
    let addr = options.profiler.as_str();
    let profiler = debug_pprof::serve(addr).map_err(|e| format!("no profiler on {addr:?}: {e}"))?;
    if options.stuck_tasks > 0 {
        backend::start(options.stuck_tasks)
            .map_err(|e| format!("cannot start the backend: {e}"))?;
    }
    let service = Arc::new(Service::new(LeakCap::new(options.leak_bytes)));
    let addr = service::start(&service).map_err(|e| format!("cannot start the service: {e}"))?;
    load::start(addr).map_err(|e| format!("cannot start the load generator: {e}"))?;

    let started = Instant::now();
    let mut screen = Screen::new();
    screen.welcome(addr, profiler, options.stuck_tasks);
    while options
        .run_for
        .is_none_or(|limit| started.elapsed() < limit)
    {
        screen.progress(service.cap(), service.requests());
        let left = options.run_for.map_or(Duration::MAX, |limit| {
            limit.saturating_sub(started.elapsed())
        });
        thread::sleep(left.min(Duration::from_millis(200)));
    }
    screen.goodbye();
    Ok(())
}

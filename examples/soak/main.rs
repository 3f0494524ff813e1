//! Everything at once, for as long as one likes: allocation on all cores, threads that come and go, scrapes of every
//! route, rate changes, forks and panics; and then the question what is left.
//!
//! ```sh
//! cargo run --release --example soak -- 60
//! ```
//!
//! Time is cut into turns. In every other one the rate changes all the while; the rest are exact: the rate is 1, and what
//! the profile says must be what the [`tally`] counted. After each turn everything has been dropped and every thread has
//! been joined, so that the process must be what it was before: see [`baseline`]. With the first turn that is not right the soak ends, with exit code 1
//! and lines that say what is wrong.

mod baseline;
mod fault;
mod forks;
mod options;
mod random;
mod rates;
mod report;
mod resident;
mod scrapes;
mod tally;
mod turn;
mod visitors;
mod workers;

use std::panic;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::baseline::Baseline;
use crate::fault::Fault;
use crate::options::Options;
use crate::report::Report;
use crate::resident::Resident;
use crate::turn::{Kind, Turn};
use crate::workers::ExpectedPanic;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

/// A turn has time for a delta of one second, and an hour has enough of them for a slope.
const SHORTEST_TURN: Duration = Duration::from_secs(1);
const LONGEST_TURN: Duration = Duration::from_secs(10);

/// So that the second half has two samples of the resident memory, on a slow machine too.
const FEWEST_TURNS: u64 = 3;

fn main() -> ExitCode {
    let report = Options::parse(std::env::args().skip(1)).and_then(|options| run(&options));
    match report {
        Ok(report) => {
            print!("{report}");
            ExitCode::from(u8::from(!report.wrong.is_empty()))
        }
        Err(message) => {
            eprintln!("soak: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<Report, String> {
    // What this thread keeps from turn to turn is not part of the question: it is allocated while nothing is sampled.
    debug_pprof::set_sample_rate(0);
    let addr = debug_pprof::serve("127.0.0.1:0").map_err(|error| error.to_string())?;
    println!(
        "soak: {} s, profiler at http://{addr}/debug/pprof/",
        options.duration.as_secs()
    );
    keep_expected_panics_quiet();

    let turn_length = (options.duration / 4).clamp(SHORTEST_TURN, LONGEST_TURN);
    let mut report = Report::default();
    let mut resident = Resident::new();
    let baseline = Baseline::take()?;
    report.at_start = baseline.process();
    report.is_sanitized = options.is_sanitized;
    let started = Instant::now();
    for kind in [Kind::Mixed, Kind::Exact].into_iter().cycle() {
        let turn = Turn {
            kind,
            addr,
            routes: Fault::routes(options.fault),
            forks: !options.is_sanitized,
            length: turn_length,
            seed: report.turns,
        };
        turn.run(&mut report);
        debug_pprof::set_sample_rate(0);
        if let Some(fault) = options.fault {
            fault.commit();
        }
        report.check(&baseline);
        resident.sample();
        report.turns += 1;
        let is_over = started.elapsed() >= options.duration && report.turns >= FEWEST_TURNS;
        if is_over || !report.wrong.is_empty() {
            break;
        }
    }
    report.finish(started.elapsed(), resident);
    Ok(report)
}

fn keep_expected_panics_quiet() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<ExpectedPanic>() {
            default(info);
        }
    }));
}

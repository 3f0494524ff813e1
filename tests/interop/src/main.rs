//! Runs the test suites of real crates, bare and with the profiler as their allocator at rate 1, and compares.
//!
//! ```sh
//! cargo run --manifest-path tests/interop/Cargo.toml -- bytes slab    # all without names
//! ```

mod copy;
mod outcome;
mod sources;

use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use outcome::Outcome;

/// The suites, quickest first. `crossbeam-channel` can be asked for by name: its tests measure time, and on a busy machine
/// some fail, bare too.
const SUITES: [&str; 8] = [
    "slab",
    "bytes",
    "smallvec",
    "crossbeam-queue",
    "indexmap",
    "crossbeam-deque",
    "crossbeam-epoch",
    "hashbrown",
];

fn main() -> ExitCode {
    let asked: Vec<String> = env::args().skip(1).collect();
    let suites: Vec<&str> = if asked.is_empty() {
        SUITES.to_vec()
    } else {
        asked.iter().map(String::as_str).collect()
    };
    println!("| crate | version | passed bare | passed profiled | samples | seconds |");
    println!("|---|---|--:|--:|--:|--:|");
    let mut wrong = Vec::new();
    for name in suites {
        if let Err(message) = compare(name) {
            wrong.push(format!("{name}: {message}"));
        }
    }
    for message in &wrong {
        println!("WRONG: {message}");
    }
    ExitCode::from(u8::from(!wrong.is_empty()))
}

/// Prints a row, and says what is wrong with it.
fn compare(name: &str) -> Result<(), String> {
    let started = Instant::now();
    let source = sources::find(name)?;
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/interop");
    let bare = outcome::run(&copy::bare(&source, &target)?, &target)?;
    let profiled = outcome::run(&copy::profiled(&source, &target)?, &target)?;
    println!(
        "| {name} | {} | {} | {} | {} | {:.0} |",
        source.version,
        bare.passed,
        profiled.passed,
        profiled.samples,
        started.elapsed().as_secs_f64()
    );
    match (&bare, &profiled) {
        (Outcome { passed: 0, .. }, _) => Err("it has no tests".to_owned()),
        (_, Outcome { samples: 0, .. }) => Err("the profiler has seen nothing".to_owned()),
        (bare, profiled) if bare.failed + profiled.failed > 0 => Err(format!(
            "{} tests failed bare, {} profiled",
            bare.failed, profiled.failed
        )),
        (bare, profiled) if bare.passed != profiled.passed => {
            Err("another number of tests".to_owned())
        }
        _ => Ok(()),
    }
}

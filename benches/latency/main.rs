//! How long an allocation takes on one thread while another scrapes the heap profile in a loop.
//!
//! ```text
//! cargo bench --bench latency
//! ```
//!
//! One process whose phases take turns: nobody else at work, the same again (the A/A control), another thread that
//! computes, another thread that scrapes.

#[path = "../driver/cargo.rs"]
mod cargo;
#[path = "../driver/program.rs"]
mod program;
#[path = "../driver/smoke.rs"]
mod smoke;
#[path = "../driver/verdict.rs"]
mod verdict;

use verdict::verdict;

/// How much higher p99.9 may be while the profile is scraped.
const P999_BAR: f64 = 2.0;

/// The distribution of one phase.
struct Phase {
    p999: f64,
    own_stalls: f64,
}

fn main() {
    let programs = cargo::build("sides", &["--no-default-features"], "");
    let (rounds, milliseconds) = if smoke::is_smoke() {
        ("1", "100")
    } else {
        ("25", "400")
    };
    let lines = program::lines(&programs.join("latency"), &[rounds, milliseconds]);
    let [phases @ .., scrapes] = lines.as_slice() else {
        panic!("a line for the scrapes");
    };
    println!(
        "\n### Allocations of 64 B to 4 KiB beside a scrape{}\n",
        smoke::note()
    );
    println!(
        "| other thread | allocations | p50 ns | p99 ns | p99.9 ns | maximum ns | stalls over 1 ms | with a processor |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    let phases: Vec<Phase> = phases.iter().map(|line| row(line)).collect();
    let [idle, again, busy, scraping] = phases.as_slice() else {
        panic!("four phases");
    };
    let [scrapes, buckets] = program::numbers(scrapes);
    let (ratio, a_a) = (scraping.p999 / idle.p999, again.p999 / idle.p999);
    println!(
        "\n{scrapes} scrapes of {buckets} buckets. p99.9 against idle ×{ratio:.2} (A/A ×{a_a:.2}, busy ×{:.2}), bar \
         ×{P999_BAR}: {}.",
        busy.p999 / idle.p999,
        verdict(ratio / a_a <= P999_BAR)
    );
    // On two busy cores whatever else runs takes one away for milliseconds; that is no doing of the scrape's.
    println!(
        "Stalls over 1 ms while scraping that were not spent waiting for a processor: {}, bar 0: {}.",
        scraping.own_stalls,
        verdict(scraping.own_stalls == 0.0)
    );
}

fn row(line: &str) -> Phase {
    let (name, numbers) = line.split_once(';').expect("a name and numbers");
    let numbers: [f64; 7] = program::numbers(numbers);
    let [count, p50, p99, p999, maximum, stalls, own_stalls] = numbers;
    println!("| {name} | {count} | {p50} | {p99} | {p999} | {maximum} | {stalls} | {own_stalls} |");
    Phase { p999, own_stalls }
}

//! What a scrape of `/heap` costs: time, memory that stays, memory at the peak.
//!
//! ```text
//! cargo bench --bench scrape              the bars, on a library with 100 MB of debug information; builds it once
//! SMOKE=1 cargo bench --bench scrape      a small one, to see that it runs
//! ```
//!
//! Each figure is of a process of its own, because a process has one first scrape.

mod bulk;
mod memory;
mod work;

use std::io::{self, Read, Write};
use std::process::Command;
use std::time::Instant;

use debug_pprof::http::{Request, respond};
use debug_pprof::{HeapProfile, ProfiledAllocator};
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};

use work::Work;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(0);

fn scrape_to(out: impl Write) {
    let profile = HeapProfile::capture().expect("installed");
    profile.write_pprof(out).expect("all is taken");
}

fn scrape() -> Vec<u8> {
    let mut body = Vec::new();
    scrape_to(&mut body);
    body
}

fn scrape_by_type() -> Vec<u8> {
    let request = Request::new("GET", "/debug/pprof/heap?label=type", Vec::new());
    let answer = respond(&request);
    assert_eq!(answer.status, 200);
    answer.body
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn row(what: &str, bar: &str, figure: &str) {
    println!("{what:<62} {bar:>12} {figure:>12}");
}

/// In a process that has not scraped yet.
fn time(work: &Work) {
    let addresses = work.addresses;
    let mut body = Vec::new();
    let first = seconds(|| body = scrape());
    let again = (0..20).map(|_| seconds(|| drop(scrape())));
    let again = again.fold(f64::INFINITY, f64::min);
    let what = format!(
        "/heap, {} stacks of {} frames, {addresses} addresses",
        work.stacks,
        work::FRAMES
    );
    row(&format!("{what}: first"), "1.5 s", &format!("{first:.3} s"));
    row("  again", "50 ms", &format!("{:.1} ms", again * 1e3));
    let by_type = (0..20).map(|_| seconds(|| drop(scrape_by_type())));
    let by_type = by_type.fold(f64::INFINITY, f64::min);
    let bar = format!("{:.1} ms", again * 1.5e3);
    row("  by type", &bar, &format!("{:.1} ms", by_type * 1e3));
    row("  bytes", "", &body.len().to_string());
}

fn growth(work: &Work) {
    let before = memory::resident();
    let mut after = Vec::new();
    for _ in 0..10 {
        // As the server does, which sends pieces: a whole body in one block would make glibc keep as much.
        scrape_to(io::sink());
        after.push(memory::resident().saturating_sub(before));
    }
    let grown = |kilobytes: u64| format!("{:.1} MB", kilobytes as f64 / 1e3);
    row(
        &format!("growth after ten scrapes, {} addresses", work.addresses),
        "5 MB",
        &grown(after[9]),
    );
    row("  after the first", "", &grown(after[0]));
}

fn peak_of_first(work: &Work) {
    let before = memory::anonymous();
    let ((), most) = memory::peak(|| scrape_to(io::sink()));
    let most = most.saturating_sub(before);
    row(
        &format!(
            "anonymous memory at the peak of the first, {} addresses",
            work.addresses
        ),
        "80 MB",
        &format!("{:.1} MB", most as f64 / 1e3),
    );
}

fn compression(_: &Work) {
    let mut message = Vec::new();
    GzDecoder::new(&scrape()[..])
        .read_to_end(&mut message)
        .expect("gzip");
    for level in [1, 2, 3, 4, 6, 9] {
        let mut size = 0;
        let mut once = || {
            let mut body = Vec::new();
            let mut encoder = GzEncoder::new(&message[..], Compression::new(level));
            encoder.read_to_end(&mut body).expect("a vector takes it");
            size = body.len();
        };
        let best = (0..5)
            .map(|_| seconds(&mut once))
            .fold(f64::INFINITY, f64::min);
        row(
            &format!("gzip level {level} of {} bytes", message.len()),
            "",
            &format!("{size}, {:.1} ms", best * 1e3),
        );
    }
}

type Row = fn(&Work);

const ROWS: [(&str, Row, work::Spread); 5] = [
    ("time", time, work::Spread::Usual),
    ("time-wide", time, work::Spread::Wide),
    ("growth", growth, work::Spread::Usual),
    ("peak", peak_of_first, work::Spread::Usual),
    ("gzip", compression, work::Spread::Usual),
];

fn main() {
    let chosen = std::env::var("SCRAPE_ROW").unwrap_or_default();
    if let Some((_, of, spread)) = ROWS.iter().find(|(name, _, _)| *name == chosen) {
        return of(&Work::prepare(*spread));
    }
    work::build();
    row("what", "bar", "figure");
    for (name, _, _) in ROWS {
        let own = std::env::current_exe().expect("its path");
        let status = Command::new(own).env("SCRAPE_ROW", name).status();
        assert!(status.expect("it starts").success(), "{name}");
    }
}

//! A Prometheus that scrapes this process and `examples/leaky_service` every second has the numbers of `mem_stats`, with
//! the types and units of OpenMetrics.
#![cfg(feature = "http")]

mod example_binary;
mod http_client;
mod leaky_service;
mod local_server;
mod prometheus;
#[path = "prometheus/server.rs"]
mod server;

use debug_pprof::{ProfiledAllocator, mem_stats, set_sample_rate};
use example_binary::Build;
use leaky_service::{CACHE_BYTES, Config, LeakyService, PREVIEWS_BYTES, TICKERS_BYTES};
use server::Prometheus;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1024);

#[test]
fn series_are_read_back_as_they_were() {
    let service = LeakyService::start(&Config::exact(Build::Debug));
    let (_server, addr) = local_server::start();
    // Its first scrape comes five seconds after its start: so it starts while the leaks grow.
    let prometheus = Prometheus::start(&[addr, service.addr]);
    service.wait_until_full();
    let leaked = (CACHE_BYTES + PREVIEWS_BYTES + TICKERS_BYTES) as f64;
    let kept = vec![1_u8; 8 << 20];
    // The sampler's counts stand still from here on, but for frees of what was sampled before.
    set_sample_rate(0);
    prometheus.wait_for_value("rust_memprofile_rate_bytes", addr, |rate| rate == 0.0);
    let is_full = |live| live >= leaked;
    let live = prometheus.wait_for_value("rust_memstats_alloc_bytes", service.addr, is_full);
    assert!(live < 2.0 * leaked, "{live}, of which {leaked} are leaked");

    let stats = mem_stats();
    let process = stats.process;
    for (name, value) in [
        ("rust_memprofile_rate_bytes", Some(stats.sample_rate as f64)),
        ("rust_memprofile_samples_total", Some(stats.samples as f64)),
        (
            "rust_memprofile_stacks",
            Some(stats.profiler.buckets as f64),
        ),
        ("process_max_fds", process.max_fds.map(|fds| fds as f64)),
        ("process_start_time_seconds", process.start_time_seconds),
        ("rust_info", Some(1.0)),
    ] {
        let value = value.unwrap_or_else(|| panic!("{name} is known"));
        assert_eq!(prometheus.value(name, addr), value, "{name}");
    }
    let allocated = prometheus.value("rust_memstats_alloc_bytes_total", addr);
    let exact = mem_stats().exact.expect("it is counted");
    assert!(allocated >= kept.len() as f64 && allocated <= exact.allocated_bytes as f64);
    let live = prometheus.value("rust_memstats_alloc_bytes", addr);
    assert!(live >= kept.len() as f64 && live <= allocated, "{live}");
    let resident = prometheus.value("process_resident_memory_bytes", addr);
    let peak = mem_stats().peak_resident_bytes.expect("of /proc") as f64;
    assert!(
        resident >= kept.len() as f64 && resident <= peak,
        "{resident}"
    );

    // That it was OpenMetrics: the plain format has no units.
    let metadata = prometheus.wait_for("/api/v1/metadata", |data| {
        data["rust_memstats_alloc_bytes"].is_array()
    });
    for (name, kind, unit) in [
        ("rust_memstats_alloc_bytes", "gauge", "bytes"),
        ("rust_memstats_alloc_bytes_total", "unknown", ""),
        ("rust_memprofile_dropped", "counter", ""),
        ("process_cpu_seconds", "counter", "seconds"),
    ] {
        let entry = &metadata[name][0];
        assert_eq!(
            (&entry["type"], &entry["unit"]),
            (&kind.into(), &unit.into()),
            "{name}: {entry}"
        );
    }
    drop(kept);
}

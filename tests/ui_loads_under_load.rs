//! The page loads, and draws, while the service allocates on all its threads and others fetch profiles from it without a pause.
#![cfg(all(feature = "http", feature = "symbolize"))]

mod browser;
mod http_client;
mod local_server;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use browser::Browser;
use http_client::get_when_free;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator =
    debug_pprof::ProfiledAllocator::system().sample_every(4096);

const STATE: &str = "window.debugPprof.state";

static STOP: AtomicBool = AtomicBool::new(false);
static ANSWERS: AtomicUsize = AtomicUsize::new(0);

/// Ends the load, when a check fails too: the scope waits for it.
struct StopAtEnd;

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        STOP.store(true, Ordering::Relaxed);
    }
}

#[inline(never)]
fn churn() {
    while !STOP.load(Ordering::Relaxed) {
        black_box(vec![0_u8; 3000]);
    }
}

#[test]
fn ui_loads_under_load() {
    let (_server, addr) = local_server::start();
    let kept = black_box(vec![1_u8; 8 << 20]);
    thread::scope(|scope| {
        let _stop = StopAtEnd;
        for _ in 0..4 {
            scope.spawn(churn);
        }
        // Twelve of the sixteen connections that there are by default: the browser has the others.
        for nth in 0..12 {
            scope.spawn(move || {
                let targets = [
                    "heap",
                    "allocs",
                    "heap?format=json",
                    "heap?debug=1",
                    "metrics",
                ];
                let target = format!("/debug/pprof/{}", targets[nth % targets.len()]);
                while !STOP.load(Ordering::Relaxed) {
                    get_when_free(addr, &target);
                    ANSWERS.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let browser = Browser::start();
        browser.open(&format!("http://{addr}/debug/pprof/ui/"));
        browser.wait_for(&format!(
            "{STATE}.boxes > 0 && {STATE}.total >= {}",
            kept.len()
        ));
        let before = ANSWERS.load(Ordering::Relaxed);
        for _ in 0..3 {
            browser.click("#refresh");
            browser.wait_for(&format!("!{STATE}.busy && {STATE}.message === ''"));
        }
        browser.wait_for(&format!(
            "{STATE}.polls > 0 && {STATE}.total >= {}",
            kept.len()
        ));
        browser.screenshot("30-under-load");
        assert!(ANSWERS.load(Ordering::Relaxed) > before, "there was a load");
        // Where all connections were taken for a moment, the browser notes a 503, and the page asks again.
        for (level, source, message) in browser.console() {
            assert!(
                source == "network" && message.contains("503"),
                "{level} {source} {message}"
            );
        }
    });
}

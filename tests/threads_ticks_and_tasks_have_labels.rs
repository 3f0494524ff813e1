//! Threads, ticks of the processor and tasks carry the labels that are in force where they are: on a thread those of its scope,
//! on a task those that it was tracked under.
#![cfg(all(feature = "http", target_arch = "x86_64", target_env = "gnu"))]

mod http_client;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use debug_pprof::{labels, task};
use http_client::answered;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

/// The line of labels of the block with this part, which is the only one.
fn labels_of<'t>(text: &'t str, part: &str) -> &'t str {
    let mut blocks = text.split("\n\n").filter(|block| block.contains(part));
    let block = blocks
        .next()
        .unwrap_or_else(|| panic!("no {part} in {text}"));
    assert!(blocks.next().is_none(), "{text}");
    let labels = block.lines().find(|line| line.starts_with("# labels: "));
    labels.unwrap_or_else(|| panic!("no labels: {block}"))
}

#[inline(never)]
fn waits_in_a_scope(ready: &mpsc::Sender<()>, stop: &mpsc::Receiver<()>) {
    labels::scope(&[("tenant", "acme"), ("thread", "not this one")], || {
        let _ = ready.send(());
        let _ = stop.recv();
    });
}

#[inline(never)]
fn computes_in_a_scope(stop: &AtomicBool) {
    labels::scope(&[("tenant", "globex")], || {
        while !stop.load(Ordering::Relaxed) {
            std::hint::black_box((0..1000_u64).fold(1, |product, n| product ^ n.rotate_left(7)));
        }
    });
}

#[test]
fn on_threads_ticks_and_tasks() {
    let (ready, is_ready) = mpsc::channel();
    let (stop, stopped) = mpsc::channel();
    let waits = thread::Builder::new().name("waits".into());
    let waits = waits.spawn(move || waits_in_a_scope(&ready, &stopped));
    is_ready.recv().expect("it runs");
    let future = labels::scope(&[("tenant", "initech")], || {
        task::track_named("order", std::future::pending::<()>())
    });
    let threads = answered("/debug/pprof/goroutine?debug=1").text();
    assert_eq!(
        labels_of(&threads, "waits_in_a_scope"),
        "# labels: {\"tenant\":\"acme\", \"thread\":\"waits\"}",
        "the profiler's own keys are its own"
    );
    let order = labels_of(&threads, "\"order\"");
    assert!(order.contains("\"tenant\":\"initech\""), "{order}");
    let dump = answered("/debug/pprof/goroutine?debug=2").text();
    assert!(dump.contains("{tenant=initech}:\n"), "{dump}");
    drop((future, stop));
    waits.expect("a thread").join().expect("no panic");

    let enough = AtomicBool::new(false);
    let ticks = thread::scope(|scope| {
        scope.spawn(|| computes_in_a_scope(&enough));
        let ticks = answered("/debug/pprof/profile?seconds=1&format=json").text();
        enough.store(true, Ordering::Relaxed);
        ticks
    });
    let ticks: serde_json::Value = serde_json::from_str(&ticks).expect("JSON");
    assert!(ticks.to_string().contains("globex"), "{ticks}");
}

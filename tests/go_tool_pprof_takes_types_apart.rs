//! `go tool pprof` on a profile by type: `-tags` shows each type with its bytes, `-tagfocus` keeps one, and `label=age,type`
//! gives both labels.
#![cfg(all(feature = "http", feature = "symbolize"))]

mod go_pprof;
mod http_client;
mod local_server;

use std::collections::HashMap;
use std::hint::black_box;

use go_pprof::pprof;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator =
    debug_pprof::ProfiledAllocator::system().sample_every(1);

mod cache {
    pub(crate) struct Session {
        pub(crate) _page: [u8; 4096],
    }

    pub(crate) struct Answer {
        pub(crate) _page: [u8; 4096],
    }
}

#[inline(never)]
fn fill_cache() -> Vec<Box<cache::Session>> {
    let one = || {
        Box::new(cache::Session {
            _page: black_box([1; 4096]),
        })
    };
    (0..1024).map(|_| one()).collect()
}

#[inline(never)]
fn keep_answers() -> HashMap<u64, cache::Answer> {
    let mut all = HashMap::with_capacity(200);
    all.insert(
        1,
        cache::Answer {
            _page: black_box([1; 4096]),
        },
    );
    all
}

/// The bytes of each value of `key` in what `-tags` prints.
fn tags(key: &str, url: &str) -> HashMap<String, f64> {
    let tags = pprof(&["-tags", "-unit=B", "-sample_index=inuse_space", url]);
    let of_key = tags.split(&format!(" {key}:")).nth(1);
    let of_key = of_key.unwrap_or_else(|| panic!("no {key} in {tags}"));
    // Up to the empty line: `4194304.0B (49.98%): cache::Session`.
    let rows = of_key
        .lines()
        .skip(1)
        .take_while(|line| !line.trim().is_empty());
    let row = |line: &str| {
        let (value, name) = line.split_once("): ")?;
        let bytes = value.trim_start().split('B').next()?.parse().ok()?;
        Some((name.to_owned(), bytes))
    };
    rows.filter_map(row).collect()
}

#[test]
fn go_tool_pprof_takes_types_apart() {
    let (_server, addr) = local_server::start();
    let kept = (fill_cache(), keep_answers());
    debug_pprof::set_sample_rate(0);
    let url = format!("http://{addr}/debug/pprof/heap?label=type");

    let types = tags("type", &url);
    let krate = module_path!();
    let bytes = |of_type: &str| types.get(of_type).copied().unwrap_or_default();
    let session = format!("{krate}::cache::Session");
    assert_eq!(bytes(&session), f64::from(4 << 20), "{types:#?}");
    // The table has 256 entries, and its control bytes.
    let entry = format!("(u64, {krate}::cache::Answer)");
    assert!(
        (bytes(&entry) - 256.0 * 4104.0).abs() < 1024.0,
        "{types:#?}"
    );
    let boxes = format!("alloc::boxed::Box<{session}>");
    assert_eq!(bytes(&boxes), 8192.0, "{types:#?}");

    let top = |tag: &str| pprof(&["-top", tag, "-nodefraction=0", &url]);
    let focus = format!("-tagfocus=type=^{session}$");
    let sessions = top(&focus);
    assert!(
        sessions.contains("::fill_cache") && !sessions.contains("::keep_answers"),
        "{sessions}"
    );
    let without = top(&format!("-tagignore=type={session}"));
    assert!(
        without.contains("::keep_answers") && !without.contains("::fill_cache"),
        "{without}"
    );

    let both = format!("http://{addr}/debug/pprof/heap?label=age,type");
    assert_eq!(tags("type", &both).get(&session), Some(&f64::from(4 << 20)));
    assert!(tags("age", &both).contains_key("<1m"));

    let text = http_client::get(addr, "/debug/pprof/heap?label=type&debug=1").text();
    let labels = format!("# labels: {{\"type\":\"{session}\"}}");
    assert!(text.contains(&labels), "{text}");
    drop(kept);
}

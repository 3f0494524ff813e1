//! A profile of one's own is served under its name as Go serves one: in pprof's format, as text, on the index page; and
//! `go tool pprof` reads it.
#![cfg(all(feature = "http", feature = "symbolize"))]

mod go_pprof;
mod http_client;
mod local_server;

use std::hint::black_box;

use debug_pprof::labels::scope;
use debug_pprof::{Profile, ProfileEntry};
use go_pprof::pprof;
use http_client::get;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

static CONNECTIONS: Profile = Profile::new("connections");

#[inline(never)]
fn connect() -> ProfileEntry {
    black_box(CONNECTIONS.add())
}

#[inline(never)]
fn leak(count: usize) -> Vec<ProfileEntry> {
    black_box((0..count).map(|_| connect()).collect())
}

#[inline(never)]
fn serve_once() -> Vec<ProfileEntry> {
    black_box(vec![connect()])
}

#[test]
fn own_profiles_are_served_as_go() {
    let (_server, addr) = local_server::start();
    let path = "/debug/pprof/connections";
    assert_eq!(get(addr, path).status, 404, "nothing was added yet");

    let held = [leak(5), serve_once(), scope(&[("tenant", "a")], || leak(2))];
    let index = get(addr, "/debug/pprof/");
    let index = index.text();
    let row = "<tr><td>8</td><td><a href='connections?debug=1'>connections</a></td></tr>";
    assert!(index.contains(row), "{index}");
    assert!(index.contains("<li><div class=profile-name>connections: </div> </li>"));
    let place = |name: &str| index.find(&format!("'{name}?debug=1'"));
    assert!(place("cmdline") < place("connections") && place("connections") < place("goroutine"));

    // Go's text: the total, then each stack with its count, the largest first, the leaf first.
    let text = get(addr, &format!("{path}?debug=1"));
    assert_eq!(
        text.header("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    let text = text.text();
    let mut blocks = text.split("\n\n");
    let first: Vec<&str> = blocks.next().expect("a block").lines().collect();
    assert_eq!(first[0], "connections profile: total 8");
    let is_head = |row: &str, count: usize| {
        row.strip_prefix(&format!("{count} @ 0x"))
            .is_some_and(|rest| {
                rest.split(" 0x")
                    .all(|pc| pc.bytes().all(|byte| byte.is_ascii_hexdigit()))
            })
    };
    assert!(is_head(first[1], 5), "{text}");
    let is_row = |row: &str, function: &str| {
        row.starts_with("#\t0x")
            && row.contains(&format!("::{function}+0x"))
            && row.contains(".rs:")
    };
    assert!(is_row(first[2], "connect"), "{text}");
    assert!(first.iter().any(|row| is_row(row, "leak")), "{text}");
    let second: Vec<&str> = blocks.next().expect("a block").lines().collect();
    assert!(is_head(second[0], 2), "{text}");
    assert_eq!(second[1], "# labels: {\"tenant\":\"a\"}");
    assert_eq!(get(addr, &format!("{path}?debug=2")).text(), text);

    let url = format!("http://{addr}{path}");
    let top = pprof(&["-top", &url]);
    assert!(top.contains("Type: connections"), "{top}");
    let row = top.lines().find(|line| line.ends_with("::connect"));
    let row: Vec<&str> = row
        .unwrap_or_else(|| panic!("{top}"))
        .split_whitespace()
        .collect();
    assert_eq!((row[0], row[3]), ("8", "8"), "{top}");
    let row = top.lines().find(|line| line.ends_with("::leak"));
    let row: Vec<&str> = row
        .unwrap_or_else(|| panic!("{top}"))
        .split_whitespace()
        .collect();
    assert_eq!((row[0], row[3]), ("0", "7"), "{top}");
    let of_tenant = pprof(&["-top", "-tagfocus=tenant=a", &url]);
    assert!(of_tenant.contains("2, 25.00% of 8 total"), "{of_tenant}");

    drop(held);
    assert_eq!(
        get(addr, &format!("{path}?debug=1")).text(),
        "connections profile: total 0\n"
    );
    assert_eq!(get(addr, &format!("{path}/")).status, 404);
}

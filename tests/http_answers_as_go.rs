//! Every recorded answer of Go 1.27.3 is given here as well, but for the differences that this file lists.
#![cfg(feature = "http")]

mod http_client;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use http_client::{Answer, ask};

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

/// The request behind each recorded answer: file, method, target.
const REQUESTS: &[(&str, &str, &str)] = &[
    ("allocs-seconds1", "GET", "/debug/pprof/allocs?seconds=1"),
    ("allocs", "GET", "/debug/pprof/allocs"),
    ("block", "GET", "/debug/pprof/block"),
    ("cmdline-POST", "POST", "/debug/pprof/cmdline"),
    ("cmdline", "GET", "/debug/pprof/cmdline"),
    (
        "custom-seconds-abc",
        "GET",
        "/debug/pprof/example.com/goref.handles?seconds=abc",
    ),
    (
        "custom-seconds",
        "GET",
        "/debug/pprof/example.com/goref.handles?seconds=1",
    ),
    ("custom", "GET", "/debug/pprof/example.com/goref.handles"),
    ("goroutine-debug2", "GET", "/debug/pprof/goroutine?debug=2"),
    (
        "goroutine-seconds1",
        "GET",
        "/debug/pprof/goroutine?seconds=1",
    ),
    ("goroutine", "GET", "/debug/pprof/goroutine"),
    (
        "goroutineleak-seconds1",
        "GET",
        "/debug/pprof/goroutineleak?seconds=1",
    ),
    ("goroutineleak", "GET", "/debug/pprof/goroutineleak"),
    ("heap-HEAD", "HEAD", "/debug/pprof/heap"),
    ("heap-OPTIONS", "OPTIONS", "/debug/pprof/heap"),
    ("heap-POST-form", "POST", "/debug/pprof/heap"),
    ("heap-POST", "POST", "/debug/pprof/heap"),
    ("heap-debug-abc", "GET", "/debug/pprof/heap?debug=abc"),
    ("heap-debug-neg1", "GET", "/debug/pprof/heap?debug=-1"),
    ("heap-debug1", "GET", "/debug/pprof/heap?debug=1"),
    ("heap-debug2", "GET", "/debug/pprof/heap?debug=2"),
    ("heap-gc-abc", "GET", "/debug/pprof/heap?gc=abc"),
    ("heap-gc1", "GET", "/debug/pprof/heap?gc=1"),
    ("heap-gzip", "GET", "/debug/pprof/heap"),
    ("heap-seconds-0", "GET", "/debug/pprof/heap?seconds=0"),
    ("heap-seconds-1.5", "GET", "/debug/pprof/heap?seconds=1.5"),
    ("heap-seconds-abc", "GET", "/debug/pprof/heap?seconds=abc"),
    (
        "heap-seconds-debug",
        "GET",
        "/debug/pprof/heap?seconds=1&debug=1",
    ),
    (
        "heap-seconds-debug0",
        "GET",
        "/debug/pprof/heap?seconds=1&debug=0",
    ),
    ("heap-seconds-empty", "GET", "/debug/pprof/heap?seconds="),
    ("heap-seconds-neg", "GET", "/debug/pprof/heap?seconds=-5"),
    ("heap-seconds2", "GET", "/debug/pprof/heap?seconds=2"),
    ("heap-trailing-slash", "GET", "/debug/pprof/heap/"),
    ("heap", "GET", "/debug/pprof/heap"),
    ("index-debug1", "GET", "/debug/pprof/?debug=1"),
    ("index-noslash", "GET", "/debug/pprof"),
    ("index", "GET", "/debug/pprof/"),
    ("mutex", "GET", "/debug/pprof/mutex"),
    ("profile-busy", "GET", "/debug/pprof/profile?seconds=1"),
    ("profile-seconds1", "GET", "/debug/pprof/profile?seconds=1"),
    ("symbol-GET-dec", "GET", "/debug/pprof/symbol?6849725"),
    ("symbol-GET-pc", "GET", "/debug/pprof/symbol?0x6834bd"),
    ("symbol-GET", "GET", "/debug/pprof/symbol"),
    ("symbol-POST", "POST", "/debug/pprof/symbol"),
    ("threadcreate", "GET", "/debug/pprof/threadcreate"),
    ("trace-busy", "GET", "/debug/pprof/trace?seconds=1"),
    ("trace-seconds1", "GET", "/debug/pprof/trace?seconds=1"),
    ("unknown-html", "GET", "/debug/pprof/%3Cscript%3E"),
    ("unknown-seconds", "GET", "/debug/pprof/nope?seconds=1"),
    ("unknown", "GET", "/debug/pprof/nope"),
];

/// Answers that differ as a whole: file, status here, reason.
const OTHER_ANSWERS: &[(&str, u16, &str)] = &[
    (
        "symbol-POST",
        200,
        "go tool pprof asks by POST; Go's 405 (since 1.22) breaks its own tool",
    ),
    ("trace-seconds1", 501, "no execution trace exists"),
    ("trace-busy", 501, "no execution trace exists"),
];

/// Headers that differ on every answer: name, reason.
const OTHER_HEADERS: &[(&str, &str)] = &[
    ("Date", "the recording has a placeholder"),
    ("Content-Length", "every body has a length here"),
    ("Transfer-Encoding", "nothing is sent in chunks"),
    ("Connection", "one answer per connection"),
    ("Cache-Control", "no cache may keep a profile"),
];

/// Text bodies that differ though the answer does not: file, reason.
const OTHER_BODIES: &[(&str, &str)] = &[
    ("cmdline", "the test's own arguments"),
    ("goroutine-debug2", "the test's own threads"),
    (
        "index",
        "only what has an answer here is listed, and empty profiles say so",
    ),
    (
        "index-debug1",
        "only what has an answer here is listed, and empty profiles say so",
    ),
    ("symbol-GET-dec", "addresses of the recorded program"),
    ("symbol-GET-pc", "addresses of the recorded program"),
];

/// As the recorded program has it.
static HANDLES: debug_pprof::Profile = debug_pprof::Profile::new("example.com/goref.handles");

#[test]
fn each_recorded_answer_is_given() {
    let addr = debug_pprof::serve("127.0.0.1:0").expect("a server");
    let _handle = HANDLES.add();
    let recorded = recorded_files();
    let names: Vec<_> = REQUESTS
        .iter()
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(
        recorded.keys().cloned().collect::<Vec<_>>(),
        sorted,
        "a request for each file"
    );
    // Side by side, because some wait.
    std::thread::scope(|scope| {
        for chunk in REQUESTS.chunks(REQUESTS.len().div_ceil(4)) {
            let recorded = &recorded;
            scope.spawn(move || {
                for (name, method, target) in chunk {
                    compare(
                        name,
                        &recorded[*name],
                        &ask_here(addr, name, method, target),
                    );
                }
            });
        }
    });
}

fn ask_here(addr: SocketAddr, name: &str, method: &str, target: &str) -> Answer {
    if name != "profile-busy" {
        return ask(addr, method, target, "");
    }
    loop {
        let first =
            std::thread::spawn(move || ask(addr, "GET", "/debug/pprof/profile?seconds=1", ""));
        std::thread::sleep(std::time::Duration::from_millis(100));
        let answer = ask(addr, method, target, "");
        let of_first = first.join().expect("an answer");
        // The first may have been the slower one, and on a busy machine over before the other was there.
        if answer.status != 200 {
            assert_eq!(of_first.status, 200);
            return answer;
        }
    }
}

fn compare(name: &str, go: &Answer, here: &Answer) {
    if let Some((_, status, reason)) = OTHER_ANSWERS.iter().find(|(other, ..)| *other == name) {
        assert_eq!(here.status, *status, "{name}: {reason}");
        assert_ne!(here.status, go.status, "{name}: no difference any more");
        return;
    }
    assert_eq!(here.status_line, go.status_line, "{name}");
    assert_eq!(comparable_headers(here), comparable_headers(go), "{name}");
    let body = go.text();
    let is_placeholder = body.starts_with('<') && body.trim_end().ends_with(" bytes>");
    if is_placeholder {
        assert_eq!(
            here.body.is_empty(),
            body.starts_with("<0 "),
            "{name}: body"
        );
    } else if !OTHER_BODIES.iter().any(|(other, _)| *other == name) {
        assert_eq!(here.text(), body, "{name}");
    }
}

fn comparable_headers(answer: &Answer) -> BTreeMap<String, String> {
    let differs = |name: &str| {
        OTHER_HEADERS
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    };
    let kept = answer.headers.iter().filter(|(name, _)| !differs(name));
    kept.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect()
}

/// The recordings by name. Their lines end in LF; those of a real answer's head do not.
fn recorded_files() -> BTreeMap<String, Answer> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http_go_reference");
    let entries = fs::read_dir(directory).expect("the recordings");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .map(|path| (name_of(&path), read_recording(&path)))
        .collect()
}

fn name_of(path: &Path) -> String {
    PathBuf::from(path)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .expect("a name")
        .to_owned()
}

fn read_recording(path: &Path) -> Answer {
    let text = fs::read_to_string(path).expect("a recording");
    let (head, body) = text.split_once("\n\n").expect("a head and a body");
    // The recorder added a newline to bodies that have none.
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length.map_or(body.len(), |length| length.parse().expect("a number"));
    let body = if body.starts_with('<') && body.trim_end().ends_with(" bytes>") {
        body
    } else {
        body.get(..length).unwrap_or(body)
    };
    let bytes = format!("{}\r\n\r\n{body}", head.replace('\n', "\r\n"));
    Answer::parse(bytes.as_bytes())
}

//! `go tool pprof -http`: the pages that a browser asks for.

use std::net::{SocketAddr, TcpListener};
use std::process::Child;
use std::thread;
use std::time::Duration;

use crate::captured;
use crate::go_pprof::spawn_pprof;
use crate::http_client::{CLOSE, ask, try_get};

/// The tool as a web server, killed when dropped.
struct WebInterface {
    tool: Child,
    addr: SocketAddr,
}

impl WebInterface {
    fn start(file: &str) -> WebInterface {
        // The tool wants a port by number. Another process may take it first; then the tool ends, and this panics.
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = free.local_addr().expect("it is bound");
        drop(free);
        let mut web = WebInterface {
            tool: spawn_pprof(&[&format!("-http={addr}"), "-no_browser", file]),
            addr,
        };
        while try_get(addr, "/ui/", CLOSE).is_err() {
            let status = web.tool.try_wait().expect("it is our child");
            assert!(status.is_none(), "go tool pprof -http ended: {status:?}");
            thread::sleep(Duration::from_millis(20));
        }
        web
    }

    #[track_caller]
    fn page(&self, path: &str) -> String {
        let answer = ask(self.addr, "GET", path, CLOSE);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }
}

impl Drop for WebInterface {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.tool.kill();
        let _ = self.tool.wait();
    }
}

#[test]
fn pages_show_the_leak() {
    let web = WebInterface::start(captured::first_run().file());
    let leak = "leaky_service::cache::remember";
    for path in ["/ui/flamegraph", "/ui/top", "/ui/peek?f=cache::remember"] {
        assert!(web.page(path).contains(leak), "{path} does not name {leak}");
    }
    // The source page is written from the profile's own lines: see `Rule::FilenameIsBasename`.
    let source = web.page("/ui/source?f=cache::remember");
    assert!(source.contains(leak), "{source}");
    assert!(source.contains("pages.insert"), "{source}");
    // The menu of sample types.
    let menu = web.page("/ui/top");
    for sample_type in [
        "alloc_objects",
        "alloc_space",
        "inuse_objects",
        "inuse_space",
    ] {
        assert!(
            menu.contains(&format!("si={sample_type}")),
            "{sample_type} is not in the menu"
        );
    }
}

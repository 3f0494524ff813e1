//! Without the allocator, heap profiles are a 503 whose text is what to add; everything else answers.
#![cfg(feature = "http")]

mod http_client;

use http_client::get;

#[test]
fn the_text_says_what_to_add() {
    let addr = debug_pprof::serve("127.0.0.1:0").expect("a server");
    for name in [
        "heap",
        "allocs",
        "heap?debug=1",
        "heap?seconds=3600",
        "allocs?symbolize=0",
    ] {
        let answer = get(addr, &format!("/debug/pprof/{name}"));
        assert_eq!(answer.status, 503, "{name}");
        assert_eq!(answer.header("X-Go-Pprof"), Some("1"));
        assert!(
            answer.text().contains("#[global_allocator]"),
            "{}",
            answer.text()
        );
    }
    for name in ["", "goroutine", "mutex?debug=1", "cmdline", "symbol"] {
        assert_eq!(
            get(addr, &format!("/debug/pprof/{name}")).status,
            200,
            "{name}"
        );
    }
}

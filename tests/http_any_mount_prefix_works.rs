//! `respond` takes full paths, paths under a prefix, and what a framework's nesting leaves of them.
#![cfg(feature = "http")]

mod http_client;

use debug_pprof::http::Request;
use http_client::respond;

#[test]
fn the_name_is_found_under_any_prefix() {
    for (target, status, text) in [
        (
            "/debug/pprof/goroutine?debug=1",
            200,
            "goroutine profile: total ",
        ),
        (
            "/admin/debug/pprof/goroutine?debug=1",
            200,
            "goroutine profile: total ",
        ),
        ("/goroutine?debug=1", 200, "goroutine profile: total "),
        (
            "/block?debug=1",
            200,
            "--- contention:\ncycles/second=1000000000\n",
        ),
        (
            "/mutex?debug=1",
            200,
            "--- mutex:\ncycles/second=1000000000\nsampling period=0\n",
        ),
        ("/threadcreate?debug=1", 200, "threadcreate profile: total "),
        ("/goroutine/", 404, "Unknown profile\n"),
        ("/gorout%69ne", 404, "Unknown profile\n"),
        (
            "/debug/pprof/debug/pprof/goroutine",
            404,
            "Unknown profile\n",
        ),
        ("/nope", 404, "Unknown profile\n"),
    ] {
        let response = respond(&Request::get(target));
        assert_eq!(response.status, status, "{target}");
        assert!(response.body.starts_with(text.as_bytes()), "{target}");
    }
    for target in ["/", "", "/debug/pprof/", "/admin/debug/pprof/?x"] {
        let page = respond(&Request::get(target)).text();
        assert!(page.contains("<a href='heap?debug=1'>heap</a>"), "{target}");
    }
}

#[test]
fn the_missing_slash_is_added_without_leading_elsewhere() {
    for (target, location) in [
        ("/debug/pprof", "/debug/pprof/"),
        ("/debug/pprof?x=1&y", "/debug/pprof/?x=1&y"),
        ("/admin/debug/pprof", "pprof/"),
        ("//evil.example/debug/pprof", "pprof/"),
        ("/debug/pprof?x\r\nSet-Cookie: y", "/debug/pprof/"),
    ] {
        let response = respond(&Request::get(target));
        assert_eq!(
            (response.status, response.header("Location")),
            (307, Some(location)),
            "{target}"
        );
    }
    let page = respond(&Request::get("/debug/pprof?<script>\"&'")).text();
    assert_eq!(
        page,
        "<a href=\"/debug/pprof/?&lt;script&gt;&#34;&amp;&#39;\">Temporary Redirect</a>.\n\n"
    );
}

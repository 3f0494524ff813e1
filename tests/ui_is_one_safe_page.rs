//! `ui/` is one page, at most 40 KB of the binary, made of the sources under `src/http/ui`, that may run its own script and
//! nothing else; no request to it changes anything.
//!
//! `UPDATE_UI=1 cargo test --test ui_is_one_safe_page` makes the committed page anew.
#![cfg(feature = "http")]

mod http_client;
mod sha256;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use debug_pprof::http::Request;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http_client::respond;
use sha256::{base64, sha256};

/// Each uses what stands above it.
const SCRIPTS: [&str; 8] = [
    "text", "profile", "tree", "flame", "tables", "live", "ask", "main",
];

/// In the binary.
const MOST_BYTES: usize = 40_000;

fn source(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("src/http/ui").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(source(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn style() -> String {
    read("style.css")
}

fn script() -> String {
    let parts = SCRIPTS.map(|name| read(&format!("app/{name}.js")));
    parts.concat()
}

fn page() -> String {
    let (style, script) = (style(), script());
    format!(
        "{}<style>{style}</style>\n{}<script>{script}</script>\n</body>\n</html>\n",
        read("head.html"),
        read("body.html")
    )
}

fn policy() -> String {
    let hash = |text: &str| format!("'sha256-{}'", base64(&sha256(text.as_bytes())));
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'\n",
        hash(&script()),
        hash(&style())
    )
}

#[test]
fn the_committed_page_is_made_of_the_sources() {
    let (page, policy) = (page(), policy());
    if std::env::var_os("UPDATE_UI").is_some() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(page.as_bytes()).expect("memory");
        fs::write(source("page.html.gz"), gzip.finish().expect("memory")).expect("writable");
        fs::write(source("page.csp"), &policy).expect("writable");
    }
    let compressed = fs::read(source("page.html.gz")).expect("it is committed");
    let mut committed = String::new();
    GzDecoder::new(compressed.as_slice())
        .read_to_string(&mut committed)
        .expect("gzip");
    assert!(
        committed == page && read("page.csp") == policy,
        "the page is stale; run: UPDATE_UI=1 cargo test --test ui_is_one_safe_page"
    );
    assert!(
        compressed.len() + policy.len() <= MOST_BYTES,
        "{} bytes",
        compressed.len()
    );
}

#[test]
fn the_answer_lets_the_browser_do_nothing_else() {
    let answer = respond(&Request::get("/debug/pprof/ui/"));
    // Not shown where they differ: it is long.
    assert!(answer.status == 200 && answer.text() == page());
    assert_eq!(
        answer.header("Content-Security-Policy"),
        Some(policy().trim_end())
    );
    assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(
        answer.header("Content-Type"),
        Some("text/html; charset=utf-8")
    );
    // Nothing is fetched from elsewhere, nothing is an address from the root, and no text becomes markup.
    let script = script();
    for forbidden in [
        "http:",
        "https:",
        "//cdn",
        "import(",
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "method:",
        "localStorage",
        "fetch(\"/",
    ] {
        assert!(!script.contains(forbidden), "{forbidden}");
    }
    let page = page();
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("<style").count(), 1);
    for attribute in [
        " style=",
        " onclick=",
        " onload=",
        " src=",
        "href=\"http",
        "href=\"/",
    ] {
        assert!(!page.contains(attribute), "{attribute}");
    }
}

#[test]
fn it_has_one_address_under_any_prefix_and_takes_no_post() {
    for target in ["/debug/pprof/ui", "/admin/debug/pprof/ui", "/ui"] {
        let answer = respond(&Request::get(target));
        assert_eq!(
            (answer.status, answer.header("Location")),
            (307, Some("ui/")),
            "{target}"
        );
    }
    for target in ["/debug/pprof/ui/", "/admin/debug/pprof/ui/?x", "/ui/"] {
        assert_eq!(respond(&Request::get(target)).status, 200, "{target}");
        let head = respond(&Request::head(target));
        assert!(head.status == 200 && head.body.is_empty(), "{target}");
        assert_eq!(respond(&Request::post(target, "")).status, 405, "{target}");
    }
    assert_eq!(respond(&Request::get("/ui/page.html")).status, 404);
    let index = respond(&Request::get("/debug/pprof/")).text();
    assert!(index.contains("<a href='ui/'>"), "{index}");
}

//! The page under `ui/`: profiles as pictures and tables, in a browser and nothing else.
//!
//! ```text
//! head.html, style.css, body.html, app/*.js ─▶ page.html.gz ─▶ one answer, with everything in it
//!                                          └─▶ page.csp: the hashes of its style and its script
//! ```
//!
//! It asks, by `GET` and with relative addresses, for what the other routes serve to everybody, and keeps what it compares with
//! itself: the server holds nothing for it, and no request changes anything.
//!
//! The two files are made of the others, committed, and proven fresh by `tests/ui_is_one_safe_page.rs`, which also makes them:
//! `UPDATE_UI=1 cargo test --test ui_is_one_safe_page`. As text, the page would be three times as much of every binary.

use std::io::Read;

use flate2::read::GzDecoder;

use super::response::Response;

/// The page, compressed.
const PAGE: &[u8] = include_bytes!("page.html.gz");

/// What a browser may do with it: run this script, use this style, ask this server. Hashes, and no nonce, which would have to be
/// as secret as random; the page is the same each time.
const POLICY: &str = include_str!("page.csp");

/// The page.
pub(super) fn answer(head_only: bool) -> Response {
    let mut page = String::new();
    if !head_only {
        // It was whole when it was compiled in.
        let _ = GzDecoder::new(PAGE).read_to_string(&mut page);
    }
    Response::html(page)
        .with_header("Content-Security-Policy", POLICY.trim_end())
        .with_header("Referrer-Policy", "no-referrer")
}

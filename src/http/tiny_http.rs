//! An adapter for services that already run [`tiny_http`] 0.12.
//!
//! tiny_http 0.12 is its last release (2022): one request with a huge `Content-Length` aborts the process, and running
//! out of file descriptors once ends its listener for good; it has no time-outs, and CVE-2026-66752 is open.
//! Nothing behind it can prevent that: use it where only trusted clients connect, and [`Server`](super::Server) else.

use std::io::{self, Read};

use ::tiny_http::{Header, Response as Answer};

use super::limits::MAX_BODY_BYTES;
use super::request::Request;
use super::response::Response;
use super::routes;

/// Answers `request` with [`respond`](super::respond), and blocks for as long as that does: give requests with
/// `?seconds=N` a thread of their own. Host, origin and token are not checked.
///
/// # Errors
///
/// What reading the body or writing the answer failed with; the client is then gone.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let server = tiny_http::Server::http("127.0.0.1:6060")?;
/// for request in server.incoming_requests() {
///     if request.url().starts_with("/debug/pprof") || request.url() == "/metrics" {
///         std::thread::spawn(move || debug_pprof::http::tiny_http::respond(request));
///     } else {
///         request.respond(tiny_http::Response::from_string("the service itself"))?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub fn respond(mut request: ::tiny_http::Request) -> io::Result<()> {
    let method = request.method().to_string();
    let mut body = Vec::new();
    if method == "POST" {
        request
            .as_reader()
            .take(MAX_BODY_BYTES as u64 + 1)
            .read_to_end(&mut body)?;
    }
    let response = if body.len() > MAX_BODY_BYTES {
        Response::body_too_long()
    } else {
        let lines = request.headers().iter();
        let accept = lines.filter(|header| header.field.equiv("Accept"));
        let accept: Vec<&str> = accept.map(|header| header.value.as_str()).collect();
        let asked = Request::new(method.as_str(), request.url(), body);
        routes::respond(&asked.with_accept(accept.join(",")))
    };
    // The answer to a HEAD has no length, because nothing was built to measure.
    let length = (method != "HEAD").then_some(response.body.len());
    // A header that tiny_http cannot hold (it takes ASCII only) is left out.
    let headers = response
        .headers
        .iter()
        .filter_map(|(name, value)| Header::from_bytes(*name, value.as_bytes()).ok())
        .collect();
    let status = response.status.into();
    request.respond(Answer::new(
        status,
        headers,
        response.body.as_slice(),
        length,
        None,
    ))
}

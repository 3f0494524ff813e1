//! A connection: one request, one answer, and the end.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::date::imf_fixdate;
use super::deadline::Deadline;
use super::gate::Gate;
use super::head::{Head, malformed};
use super::limits::{MAX_BODY_BYTES, RouteLimits};
use super::request::Request;
use super::response::Response;
use super::routes;
use super::stream::Stream;

/// What all connections of a server share.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) gate: Gate,
    pub(super) limits: RouteLimits,
    pub(super) head_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) max_connections: usize,
    /// Set once, when the server stops. A flag and nothing else: it publishes no memory, so Relaxed is enough.
    pub(super) stopping: AtomicBool,
}

impl Policy {
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// Serves the client at the other end of `stream`.
pub(super) fn converse(stream: &Stream, policy: &Policy) {
    if stream.prepare().is_err() {
        return;
    }
    let deadline = Deadline::after(policy.head_timeout);
    match Head::read(stream, deadline) {
        Ok(None) => {}
        Ok(Some(head)) => {
            let is_head = head.method == "HEAD";
            let response = answer(stream, policy, head, deadline).unwrap_or_else(|refusal| refusal);
            finish(stream, &response, is_head, policy.write_timeout);
        }
        Err(refusal) => finish(stream, &refusal, false, policy.write_timeout),
    }
}

/// Turns a client away for whom there is no connection left. Its request is read only to be thrown away.
pub(super) fn refuse(stream: &Stream, policy: &Policy) {
    if stream.prepare().is_ok() {
        finish(stream, &too_many(), false, policy.write_timeout);
    }
}

/// [`refuse`] for the accept thread, which never waits.
pub(super) fn refuse_now(stream: &Stream) {
    let refusal = too_many();
    let head = on_the_wire(&refusal, false);
    // In one piece: a second write could find the client gone, and its answer cut off.
    stream.write_now(&[head, refusal.body].concat());
}

fn answer(
    stream: &Stream,
    policy: &Policy,
    mut head: Head,
    deadline: Deadline,
) -> Result<Response, Response> {
    policy.gate.check(&head, !stream.is_local_file())?;
    let body = read_body(stream, &mut head, deadline)?;
    let accept = head.list("Accept");
    let mut request = Request::new(head.method, head.target, body);
    request.accept = Some(accept);
    if !routes::is_mounted(request.path()) {
        return Err(Response::error(404, "404 page not found"));
    }
    let mut gone = || policy.is_stopping() || stream.is_gone();
    Ok(routes::respond_until(&request, &mut gone, &policy.limits))
}

/// The body of a `POST`. Any other method's body is ignored, and never waited for.
fn read_body(stream: &Stream, head: &mut Head, deadline: Deadline) -> Result<Vec<u8>, Response> {
    let length = content_length(head)?;
    let mut body = std::mem::take(&mut head.rest);
    if body.len() < length && head.minor_version > 0 {
        match head.value("Expect")? {
            None => {}
            Some(expected) if expected.eq_ignore_ascii_case("100-continue") => {
                let written = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n", deadline);
                written.map_err(|_| cut_off())?;
            }
            Some(_) => {
                return Err(Response::error(
                    417,
                    "only 100-continue can be expected here",
                ));
            }
        }
    }
    let mut chunk = [0; 4096];
    while body.len() < length {
        match stream.read(&mut chunk, deadline) {
            Ok(0) | Err(_) => return Err(cut_off()),
            Ok(read) => body.extend_from_slice(chunk.get(..read).unwrap_or_default()),
        }
    }
    body.truncate(length);
    Ok(body)
}

/// The length of the body that is to be read, 0 for every method but `POST`.
pub(super) fn content_length(head: &Head) -> Result<usize, Response> {
    if head.has("Transfer-Encoding") {
        let message = "Transfer-Encoding is not accepted; send a Content-Length";
        return Err(Response::error(411, message));
    }
    if head.method != "POST" {
        return Ok(0);
    }
    let length = match head.value("Content-Length")? {
        None => 0,
        Some(digits) if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) => {
            return Err(malformed("the Content-Length is not a number"));
        }
        // Digits that do not fit are a number too large.
        Some(digits) => digits.parse().unwrap_or(usize::MAX),
    };
    if length > MAX_BODY_BYTES {
        return Err(Response::body_too_long());
    }
    Ok(length)
}

fn finish(stream: &Stream, response: &Response, is_head: bool, timeout: Duration) {
    let bytes = on_the_wire(response, is_head);
    let deadline = Deadline::after(timeout);
    // A client that went away, or is too slow, has no use for an error, and nobody else can act on one.
    let mut parts = response.parts().take_while(|_| !is_head);
    let written = stream
        .write_all(&bytes, deadline)
        .and_then(|()| parts.try_for_each(|part| stream.write_all(part, deadline)));
    if written.is_ok() {
        stream.linger();
    }
}

/// The status line and headers. The answer to a `HEAD` has no length, because nothing was built to measure.
pub(super) fn on_the_wire(response: &Response, is_head: bool) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {} {}\r\n",
        response.status,
        reason(response.status)
    );
    // Writing to a String cannot fail.
    for (name, value) in &response.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "Date: {}\r\n", imf_fixdate(SystemTime::now()));
    if !is_head {
        let length: usize = response.parts().map(<[u8]>::len).sum();
        let _ = write!(head, "Content-Length: {length}\r\n");
    }
    head.push_str("Connection: close\r\n\r\n");
    head.into_bytes()
}

fn too_many() -> Response {
    Response::busy("too many connections; try again, or raise ServerBuilder::max_connections")
}

fn cut_off() -> Response {
    Response::error(408, "the body did not arrive in time")
}

pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

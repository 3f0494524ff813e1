//! `Response`: an answer of the endpoint, without any framework's types, and the few shapes it comes in.

use super::limits::MAX_BODY_BYTES;
use crate::profile::Pieces;

/// An answer of the endpoint.
///
/// `Content-Length`, `Connection` and `Date` are the server's business and are not among the headers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The status code, such as 200.
    pub status: u16,
    /// Header names in their usual spelling, each with its value.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty in the answer to a `HEAD`.
    pub body: Vec<u8>,
    /// What a server writes behind `body`, and [`respond`](super::respond) puts there.
    pub(super) pieces: Pieces,
}

impl Response {
    /// The value of the header `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Nothing yet but the status. A profile is true for one moment only, and may be secret: no cache keeps it.
    pub(super) fn new(status: u16) -> Response {
        Response {
            status,
            headers: vec![("Cache-Control", "no-store".to_owned())],
            body: Vec::new(),
            pieces: Pieces::default(),
        }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn with_body(mut self, body: impl Into<Vec<u8>>) -> Response {
        self.body = body.into();
        self
    }

    fn with_type(self, content_type: &str) -> Response {
        self.with_header("Content-Type", content_type)
            .with_header("X-Content-Type-Options", "nosniff")
    }

    /// 200 with a web page.
    pub(super) fn html(page: String) -> Response {
        Response::new(200)
            .with_type("text/html; charset=utf-8")
            .with_body(page)
    }

    /// 200 with plain text.
    pub(super) fn text(body: Pieces) -> Response {
        let mut response = Response::new(200).with_type("text/plain; charset=utf-8");
        response.pieces = body;
        response
    }

    /// 200 with a gzipped profile. Alloy refuses any other content type.
    pub(super) fn profile(filename: &str, body: Pieces) -> Response {
        let mut response = Response::new(200)
            .with_type("application/octet-stream")
            .with_header(
                "Content-Disposition",
                format!("attachment; filename=\"{filename}\""),
            );
        response.pieces = body;
        response
    }

    /// 200 with JSON.
    pub(super) fn json(body: Pieces) -> Response {
        let mut response = Response::new(200).with_type("application/json");
        response.pieces = body;
        response
    }

    /// 200 with metrics.
    pub(super) fn metrics(content_type: &str, text: String) -> Response {
        Response::new(200).with_type(content_type).with_body(text)
    }

    /// What Go's `http.Error` writes: one line of text.
    pub(super) fn error(status: u16, message: &str) -> Response {
        Response::new(status)
            .with_type("text/plain; charset=utf-8")
            .with_body(format!("{message}\n"))
    }

    /// An [`error`](Response::error) whose text `go tool pprof` shows to its user; `X-Go-Pprof` is how it knows
    /// that the text comes from a pprof handler and not from a proxy in between.
    pub(super) fn refusal(status: u16, message: &str) -> Response {
        Response::error(status, message).with_header("X-Go-Pprof", "1")
    }

    /// 503 with a time to come back: something that is limited is used up at the moment.
    pub(super) fn busy(message: &str) -> Response {
        // Seconds. Scrapers come every 10 to 60 s and ignore it; it is for people and for proxies.
        Response::refusal(503, message).with_header("Retry-After", "1")
    }

    /// 413 for a body over [`MAX_BODY_BYTES`].
    pub(super) fn body_too_long() -> Response {
        let message = format!("the body is longer than {MAX_BODY_BYTES} bytes; ask in parts");
        Response::error(413, &message)
    }

    /// What `HEAD` gets of this answer.
    pub(super) fn without_body(mut self) -> Response {
        self.body = Vec::new();
        self.pieces = Pieces::default();
        self
    }

    /// With all of the body in `body`.
    pub(super) fn in_one_piece(mut self) -> Response {
        let length: usize = self.parts().map(<[u8]>::len).sum();
        self.body.reserve_exact(length - self.body.len());
        for piece in self.pieces.iter() {
            self.body.extend_from_slice(piece);
        }
        self.pieces = Pieces::default();
        self
    }

    /// The body, and all of it.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.body.as_slice()).chain(self.pieces.iter())
    }
}

//! `Request`: what the routes need to know of an HTTP request, without any framework's types.

/// A request for the endpoint.
///
/// ```
/// use debug_pprof::http::Request;
///
/// let request = Request::get("/debug/pprof/heap?debug=1");
/// assert_eq!(request.method, "GET");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The method in upper case, such as `GET`.
    pub method: String,
    /// The path with its query, as on the request line: not decoded, without scheme and host.
    pub target: String,
    /// The body. Only a `POST` to `/symbol` has one.
    pub body: Vec<u8>,
    /// The header `Accept`, its lines joined by commas; `/metrics` chooses its format by it.
    pub accept: Option<String>,
}

impl Request {
    /// A request with any method, as a router hands it over. Read at most
    /// [`MAX_BODY_BYTES`](super::MAX_BODY_BYTES) of a body that strangers can send.
    pub fn new(
        method: impl Into<String>,
        target: impl Into<String>,
        body: impl Into<Vec<u8>>,
    ) -> Request {
        Request {
            method: method.into(),
            target: target.into(),
            body: body.into(),
            accept: None,
        }
    }

    /// `GET target`.
    pub fn get(target: impl Into<String>) -> Request {
        Request::new("GET", target, Vec::new())
    }

    /// `HEAD target`: the answer has the headers that `GET` would have, and no profile is built for it.
    pub fn head(target: impl Into<String>) -> Request {
        Request::new("HEAD", target, Vec::new())
    }

    /// `POST target` with a body.
    pub fn post(target: impl Into<String>, body: impl Into<Vec<u8>>) -> Request {
        Request::new("POST", target, body)
    }

    /// With the header `Accept`.
    pub fn with_accept(mut self, accept: impl Into<String>) -> Request {
        self.accept = Some(accept.into());
        self
    }

    /// The target before the first `?`.
    pub(super) fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(&self.target, |(path, _)| path)
    }

    /// The target after the first `?`, not decoded; empty if there is none.
    pub(super) fn raw_query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

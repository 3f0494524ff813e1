//! `Head`: the request line and headers, read from a client that may be slow, broken or hostile.

use std::io;

use super::deadline::Deadline;
use super::limits::MAX_HEAD_BYTES;
use super::response::Response;
use super::stream::Stream;

/// Most headers in a request. A browser sends 20; with more than this in 8 KiB, somebody is playing.
const MAX_HEADERS: usize = 64;

/// The head of a request, and what came with it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: String,
    /// Path and query, also if the client sent a whole URL as to a proxy.
    pub(super) target: String,
    /// The host in that URL, which counts instead of the `Host` header.
    pub(super) authority: Option<String>,
    /// 0 or 1, of HTTP/1.x.
    pub(super) minor_version: u8,
    headers: Vec<(String, Vec<u8>)>,
    /// Bytes that were read beyond the head: the body's beginning.
    pub(super) rest: Vec<u8>,
}

impl Head {
    /// Reads a head, with no more than `MAX_HEAD_BYTES` and no later than `deadline`, however few bytes come at a
    /// time. `None` if the client left or stayed silent without sending anything.
    pub(super) fn read(stream: &Stream, deadline: Deadline) -> Result<Option<Head>, Response> {
        let mut bytes = Vec::with_capacity(1024);
        let mut chunk = [0; 1024];
        loop {
            let length = match stream.read(&mut chunk, deadline) {
                Ok(length) => length,
                Err(_) if bytes.is_empty() => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(Response::error(408, "the request did not arrive in time"));
                }
                Err(_) => return Ok(None),
            };
            if length == 0 {
                return if bytes.is_empty() {
                    Ok(None)
                } else {
                    Err(malformed("it is cut off"))
                };
            }
            bytes.extend_from_slice(chunk.get(..length).unwrap_or_default());
            if let Some(head) = Head::parse(&bytes)? {
                return Ok(Some(head));
            }
            if bytes.len() >= MAX_HEAD_BYTES {
                return Err(too_long());
            }
        }
    }

    /// The head that `bytes` begin with, `None` if it is not complete.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head>, Response> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(bytes).map_err(|error| match error {
            httparse::Error::Version => {
                Response::error(505, "HTTP/1.0 and HTTP/1.1 are spoken here")
            }
            httparse::Error::TooManyHeaders => too_long(),
            error => malformed(&error.to_string()),
        })?;
        let (head, rest) = match parsed {
            httparse::Status::Partial => (bytes, None),
            httparse::Status::Complete(end) => match bytes.split_at_checked(end) {
                Some((head, rest)) => (head, Some(rest)),
                None => (bytes, Some(&[][..])),
            },
        };
        // httparse takes a lone LF for a line's end. A proxy in front may not, and would see other headers.
        let mut lines = head.split(|&byte| byte == b'\n');
        let _unfinished = lines.next_back();
        if lines.any(|line| !line.ends_with(b"\r")) {
            return Err(malformed("a line ends without CR"));
        }
        let Some(rest) = rest else { return Ok(None) };
        if head.len() > MAX_HEAD_BYTES {
            return Err(too_long());
        }
        let (authority, target) = split_target(request.path.unwrap_or_default());
        Ok(Some(Head {
            method: request.method.unwrap_or_default().to_owned(),
            target,
            authority,
            minor_version: request.version.unwrap_or_default(),
            headers: request
                .headers
                .iter()
                .map(|header| (header.name.to_owned(), header.value.to_vec()))
                .collect(),
            rest: rest.to_vec(),
        }))
    }

    /// All lines of a header that is a list. What is not UTF-8 in it is left out.
    pub(super) fn list(&self, name: &str) -> String {
        let lines = self
            .values(name)
            .filter_map(|value| std::str::from_utf8(value).ok());
        lines.collect::<Vec<_>>().join(",")
    }

    /// Whether there is a header `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// The value of a header that may be there once only; 400 if it is there twice or is not ASCII, because then
    /// two readers can read two things.
    pub(super) fn value(&self, name: &str) -> Result<Option<&str>, Response> {
        let mut values = self.values(name);
        let (value, second) = (values.next(), values.next());
        match value.map(std::str::from_utf8) {
            None => Ok(None),
            Some(Ok(value)) if value.is_ascii() && second.is_none() => Ok(Some(value.trim_ascii())),
            Some(_) => Err(malformed(&format!(
                "the header {name} is doubled or not ASCII"
            ))),
        }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let same_name = move |(known, _): &&(String, Vec<u8>)| known.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(same_name)
            .map(|(_, value)| value.as_slice())
    }
}

/// Separates the host from the target of a request to a proxy, `http://host/path`, which any server must take.
fn split_target(target: &str) -> (Option<String>, String) {
    let scheme = target
        .get(..7)
        .filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let Some(url) = scheme.and_then(|_| target.get(7..)) else {
        return (None, target.to_owned());
    };
    let end = url.find(['/', '?']).unwrap_or(url.len());
    let (authority, target) = url.split_at_checked(end).unwrap_or((url, ""));
    let slash = if target.starts_with('/') { "" } else { "/" };
    (Some(authority.to_owned()), format!("{slash}{target}"))
}

pub(super) fn malformed(what: &str) -> Response {
    Response::error(400, &format!("malformed request: {what}"))
}

fn too_long() -> Response {
    let message =
        format!("the request line and headers are longer than {MAX_HEAD_BYTES} bytes or too many");
    Response::error(431, &message)
}

#[cfg(test)]
mod tests {
    use super::{Head, split_target};

    #[test]
    fn whole_urls_are_taken_apart() {
        for (target, authority, path) in [
            ("/debug/pprof/", None, "/debug/pprof/"),
            ("*", None, "*"),
            ("http://a:1/x?y", Some("a:1"), "/x?y"),
            ("HTTP://a", Some("a"), "/"),
            ("http://a?y", Some("a"), "/?y"),
            ("http:///x", Some(""), "/x"),
            ("https://a/x", None, "https://a/x"),
        ] {
            let expected = (authority.map(str::to_owned), path.to_owned());
            assert_eq!(split_target(target), expected, "{target}");
        }
    }

    #[test]
    fn every_cut_of_a_head_is_incomplete_and_never_an_error() {
        let whole = b"POST /symbol?x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";
        for end in 0..whole.len() - 2 {
            assert!(
                matches!(Head::parse(&whole[..end]), Ok(None)),
                "cut at {end}"
            );
        }
        let head = Head::parse(whole).ok().flatten().expect("a whole head");
        assert_eq!(
            (head.method.as_str(), head.target.as_str()),
            ("POST", "/symbol?x")
        );
        assert_eq!(head.value("host"), Ok(Some("a")));
        assert_eq!(head.rest, b"ab");
    }
}

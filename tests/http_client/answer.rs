//! An answer, taken apart, and checked on its way to the test.

use std::str;

use super::validator::{self, Expect};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The whole status line.
    pub(crate) status_line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Panics if `bytes` is no answer. The body is what follows the head, whatever the head says of it.
    pub(crate) fn parse(bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(bytes)));
        let head = str::from_utf8(&bytes[..end]).expect("an ASCII head");
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default().to_owned();
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("a header line");
            (name.to_owned(), value.to_owned())
        });
        Answer {
            status: status.expect("a status"),
            headers: headers.collect(),
            body: bytes[end + 4..].to_vec(),
            status_line,
        }
    }

    /// The answer to `request`: whole, out of its chunks, and valid if it is a profile.
    pub(super) fn to(request: &[u8], bytes: &[u8]) -> Answer {
        let mut answer = Answer::parse(bytes);
        let request = String::from_utf8_lossy(request);
        // Empty lines may come first.
        let mut words = request.trim_start().split(' ');
        let (method, target) = (words.next(), words.next().unwrap_or_default());
        if method == Some("HEAD") {
            return answer;
        }
        if answer.header("Transfer-Encoding") == Some("chunked") {
            answer.body = dechunked(&answer.body).expect("whole chunks");
        } else if let Some(length) = answer.header("Content-Length") {
            // A short body is an error, not a short profile.
            assert_eq!(length.parse(), Ok(answer.body.len()), "{target}");
        }
        answer.assert_valid_if_profile(target);
        answer
    }

    #[cfg(feature = "http")]
    pub(super) fn from_respond(request: &debug_pprof::http::Request) -> Answer {
        let response = debug_pprof::http::respond(request);
        let headers = response.headers.into_iter();
        let answer = Answer {
            status: response.status,
            status_line: format!("HTTP/1.1 {}", response.status),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            body: response.body,
        };
        if request.method != "HEAD" {
            answer.assert_valid_if_profile(&request.target);
        }
        answer
    }

    /// The kind is what the answer says, in the file name that it proposes; the form is what was asked for.
    fn assert_valid_if_profile(&self, target: &str) {
        if self.status != 200 || self.header("Content-Type") != Some("application/octet-stream") {
            return;
        }
        let disposition = self.header("Content-Disposition").unwrap_or_default();
        let file = disposition
            .strip_prefix("attachment; filename=\"")
            .and_then(|rest| rest.strip_suffix('"'));
        let expect = file
            .and_then(Expect::of_file)
            .unwrap_or_else(|| panic!("{target}: which profile is {disposition:?}?"));
        let mut parameters = target.split(['?', '&']).skip(1);
        let is_raw = parameters.any(|parameter| parameter == "symbolize=0");
        validator::assert_valid(&self.body, if is_raw { expect.raw() } else { expect });
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }
}

fn dechunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let length = usize::from_str_radix(str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(line + 2..line + 2 + length)?);
        rest = rest.get(line + 2 + length + 2..)?;
    }
}

//! A small HTTP client for the tests: what it sends is up to the last byte what the test says.
#![allow(dead_code, reason = "each test file uses the part that it needs")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A test that hangs fails; no assertion depends on it.
const HANG: Duration = Duration::from_secs(60);

/// An answer, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The whole status line.
    pub(crate) status_line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Panics if `bytes` is no answer.
    pub(crate) fn parse(bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).expect("an ASCII head");
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

/// A connection with a time-out against hanging.
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("connect");
    stream
        .set_read_timeout(Some(HANG))
        .expect("set_read_timeout");
    stream
        .set_write_timeout(Some(HANG))
        .expect("set_write_timeout");
    stream
}

/// Sends `bytes` as they are and returns all that comes back.
pub(crate) fn exchange(addr: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = connect(addr);
    // The server may answer and close before everything is sent.
    let _ = stream.write_all(bytes);
    read_answer(&mut stream)
}

/// Reads to the end of the connection.
pub(crate) fn read_answer(stream: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    stream
        .read_to_end(&mut bytes)
        .expect("an answer and its end");
    Answer::parse(&bytes)
}

/// `METHOD target` with more header lines, each ending in CR LF.
pub(crate) fn ask(addr: SocketAddr, method: &str, target: &str, headers: &str) -> Answer {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: {addr}\r\n{headers}\r\n");
    exchange(addr, request.as_bytes())
}

pub(crate) fn get(addr: SocketAddr, target: &str) -> Answer {
    ask(addr, "GET", target, "")
}

/// Asks until the answer is neither a 503 nor a reset, which is what the server has for the ones beyond its limits:
/// a place is free a moment after the answer that held it was read.
pub(crate) fn get_when_free(addr: SocketAddr, target: &str) -> Answer {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    loop {
        let mut stream = connect(addr);
        let mut bytes = Vec::new();
        // A reset shows as a failed write, a failed read, or an answer that is not there.
        let sent = stream.write_all(request.as_bytes());
        let read = sent.and_then(|()| stream.read_to_end(&mut bytes));
        if read.is_ok_and(|length| length > 0) {
            let answer = Answer::parse(&bytes);
            if answer.status != 503 {
                return answer;
            }
        }
        std::thread::yield_now();
    }
}

//! A small HTTP client for the tests: what it sends is up to the last byte what the test says, and no profile comes
//! back through it without having passed the validator.
//!
//! ```text
//! request bytes ─▶ connection ─▶ Answer::parse ─▶ whole, de-chunked ─▶ validator ─▶ the test
//! ```
#![allow(dead_code, reason = "each test file uses the part that it needs")]

mod answer;
#[path = "../validator/mod.rs"]
pub(crate) mod validator;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) use answer::Answer;

/// A test that hangs fails; no assertion depends on it.
const HANG: Duration = Duration::from_secs(120);

/// The header for servers that would keep the connection open; ours ends it after each answer.
pub(crate) const CLOSE: &str = "Connection: close\r\n";

/// A connection with a time-out against hanging.
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    try_connect(addr).expect("a connection")
}

fn try_connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(HANG))?;
    stream.set_write_timeout(Some(HANG))?;
    Ok(stream)
}

/// A connection over which `request` was sent; its answer is for [`read_answer`].
pub(crate) fn send(addr: SocketAddr, request: &[u8]) -> TcpStream {
    let mut stream = connect(addr);
    stream.write_all(request).expect("sent");
    stream
}

/// Sends `request` as it is and returns all that comes back.
pub(crate) fn exchange(addr: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = connect(addr);
    // The server may answer and close before everything is sent.
    let _ = stream.write_all(request);
    read_answer(&mut stream, request)
}

/// Reads the answer to `request`, to the end of the connection.
pub(crate) fn read_answer(stream: &mut impl Read, request: &[u8]) -> Answer {
    try_read_answer(stream, request).expect("an answer and its end")
}

/// An error if the connection ends in one, or without a byte. An answer that is none, or no valid profile, panics.
pub(crate) fn try_read_answer(stream: &mut impl Read, request: &[u8]) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    if stream.read_to_end(&mut bytes)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Answer::to(request, &bytes))
}

/// `METHOD target` with more header lines, each ending in CR LF.
pub(crate) fn ask(addr: SocketAddr, method: &str, target: &str, headers: &str) -> Answer {
    exchange(addr, request(addr, method, target, headers).as_bytes())
}

fn request(addr: SocketAddr, method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: {addr}\r\n{headers}\r\n")
}

pub(crate) fn get(addr: SocketAddr, target: &str) -> Answer {
    ask(addr, "GET", target, "")
}

/// For a server that may not be there, or may turn the client away.
pub(crate) fn try_get(addr: SocketAddr, target: &str, headers: &str) -> io::Result<Answer> {
    let request = request(addr, "GET", target, headers);
    let mut stream = try_connect(addr)?;
    stream.write_all(request.as_bytes())?;
    try_read_answer(&mut stream, request.as_bytes())
}

/// Asks until the answer is neither a 503 nor a reset, which is what the server has for the ones beyond its limits:
/// a place is free a moment after the answer that held it was read.
pub(crate) fn get_when_free(addr: SocketAddr, target: &str) -> Answer {
    loop {
        // A reset shows as a failed write, a failed read, or an answer that is not there.
        match try_get(addr, target, "") {
            Ok(answer) if answer.status != 503 => return answer,
            _ => std::thread::yield_now(),
        }
    }
}

/// `http::respond`, with the same checks as an answer over a connection.
#[cfg(feature = "http")]
pub(crate) fn respond(request: &debug_pprof::http::Request) -> Answer {
    Answer::from_respond(request)
}

/// The answer without a socket to a `GET` that is answered well.
#[cfg(feature = "http")]
#[track_caller]
pub(crate) fn answered(target: &str) -> Answer {
    let answer = respond(&debug_pprof::http::Request::get(target));
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    answer
}

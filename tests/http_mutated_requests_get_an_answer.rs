//! Requests that were changed at random are answered with a status that means something, or with silence if nothing came
//! at all; none is waited for longer than its client stays. (Ten thousand of them go past the socket in a unit test of
//! `src/http/offline.rs`.)
//!
//! The seed is printed, and can be given again as `STATISTICS_SEED`.
#![cfg(feature = "http")]

mod http_client;
mod local_server;
mod mutations;
mod statistics;

use std::io::{Read, Write};
use std::net::Shutdown;

use http_client::{Answer, connect};
use statistics::Random;

const REQUESTS: usize = 400;

/// What the server may say.
const STATUSES: [u16; 16] = [
    200, 307, 400, 401, 403, 404, 405, 408, 411, 413, 417, 421, 431, 501, 503, 505,
];

#[test]
fn each_has_a_status() {
    let (_server, addr) = local_server::start();
    let mut random = Random::of_this_run();
    for _ in 0..REQUESTS {
        let request = mutations::head(&mut random);
        let shown = String::from_utf8_lossy(&request);
        let mut stream = connect(addr);
        let _ = stream.write_all(&request);
        let _ = stream.shutdown(Shutdown::Write);
        let mut bytes = Vec::new();
        stream
            .read_to_end(&mut bytes)
            .unwrap_or_else(|error| panic!("{error} after {shown:?}"));
        if bytes.is_empty() {
            assert!(request.is_empty(), "no answer to {shown:?}");
            continue;
        }
        let rest = bytes.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n");
        let answer = Answer::parse(rest.unwrap_or(&bytes));
        assert!(STATUSES.contains(&answer.status), "{answer:?} to {shown:?}");
    }
}

//! Request heads as a fuzzer without patience makes them: known ones, changed in a few places.

use crate::statistics::Random;

/// What is changed. Some are whole, some go wrong late, one has a body.
const HEADS: &[&[u8]] = &[
    b"GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /debug/pprof/heap?seconds=1&debug=0&gc=1 HTTP/1.1\r\nHost: 127.0.0.1:6060\r\nAccept: */*\r\n\r\n",
    b"HEAD /debug/pprof/allocs HTTP/1.0\r\n\r\n",
    b"GET http://localhost:6060/debug/pprof/symbol?0x1+0x2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: [::1]:6060\r\nContent-Length: 7\r\n\r\n0x1+0x2",
    b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n0x1",
    b"GET /debug/pprof/mutex?debug=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YTpi\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\nSec-Fetch-Site: cross-site\r\n\r\n",
    b"GET /debug/pprof?%00%zz HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"\r\n\r\nGET /debug/pprof/cmdline HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
];

/// What is put in.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"\r\n\r\n",
    b"\xff\xfe",
    b"\xc3\x28",
    b"%",
    b"?",
    b"//",
    b"http://",
    b"HTTP/2.0",
    b"HTTP/1.1",
    b"Host: ",
    b"Content-Length: ",
    b"Content-Length: 18446744073709551616\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Authorization: Bearer \r\n",
    b"seconds=",
    b"-1",
    b"99999999999999999999",
    b"0x",
    b"[",
    b"]",
    b"X: y\r\n",
];

/// What a number is replaced with.
const NUMBERS: &[&[u8]] = &[
    b"0",
    b"-1",
    b"+1",
    b"1e9",
    b"",
    b"65536",
    b"524289",
    b"9223372036854775808",
    b"18446744073709551615",
    b"99999999999999999999999999",
];

/// A known head with one to eight changes.
pub(crate) fn head(random: &mut Random) -> Vec<u8> {
    let mut bytes = pick(random, HEADS).to_vec();
    for _ in 0..=random.below(8) {
        change(&mut bytes, random);
    }
    bytes
}

fn pick<'a>(random: &mut Random, from: &[&'a [u8]]) -> &'a [u8] {
    from[random.below(from.len())]
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = at + random.below(bytes.len() - at + 1);
    match random.below(10) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => insert(bytes, at, &[random.next() as u8]),
        3 | 4 => insert(bytes, at, pick(random, TOKENS)),
        5 => {
            let repeated = bytes[at..end].repeat(1 + random.below(4));
            insert(bytes, end, &repeated);
        }
        6 => {
            let other = pick(random, HEADS);
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        7 | 8 => {
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            let start = at
                + bytes[at..]
                    .iter()
                    .take_while(|byte| !is_digit(byte))
                    .count();
            let length = bytes[start..]
                .iter()
                .take_while(|byte| is_digit(byte))
                .count();
            let number = pick(random, NUMBERS).iter().copied();
            bytes.splice(start..start + length, number);
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    // A request of any size is fine; a test of any length is not.
    if bytes.len() < 1 << 16 {
        bytes.splice(at..at, what.iter().copied());
    }
}

//! What a service does for a request: headers into a map, a body put together, an answer cached in place of an older one.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::hint::black_box;

use crate::Started;
use crate::random::Random;

/// Maps that hash alike in every process, unlike std's default.
type Map<V> = HashMap<String, V, BuildHasherDefault<DefaultHasher>>;

const HEAD: &str = "host: example.org\naccept: text/html\naccept-language: en\nuser-agent: bench/1.0 (a long name)\n\
    cookie: session=0123456789abcdef0123456789abcdef\nx-request-id: 7b1d\ncontent-type: application/json\n";
/// Answers that are kept.
const CACHED: usize = 1_000;

/// Operation: one request.
pub(crate) fn start() -> Started {
    let mut random = Random::new(13);
    let mut cache: Map<Vec<u8>> = Map::default();
    Box::new(move |count| {
        for _ in 0..count {
            let headers = headers(black_box(HEAD));
            let page = random.below(CACHED);
            cache.insert(format!("/pages/{page}"), body(&headers, page));
        }
    })
}

fn headers(head: &str) -> Map<Vec<u8>> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.as_bytes().to_vec()))
        .collect()
}

fn body(headers: &Map<Vec<u8>>, page: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in headers {
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(value);
    }
    for line in 0..page % 20 {
        body.extend_from_slice(format!("line {line} of page {page}\n").as_bytes());
    }
    body
}

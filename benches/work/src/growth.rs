//! A `Vec` that grows from nothing: `realloc`, which decides anew at each step.

use std::hint::black_box;

use crate::Started;

/// What is appended at once: eight words.
const PIECE: [u64; 8] = [0x5a; 8];

/// Operation: a `Vec` grows to `bytes` and is dropped.
pub(crate) fn start(bytes: usize) -> Started {
    let pieces = bytes / size_of_val(&PIECE);
    Box::new(move |count| {
        for _ in 0..count {
            let mut grown = Vec::new();
            for _ in 0..pieces {
                grown.extend_from_slice(black_box(&PIECE));
            }
            black_box(grown);
        }
    })
}

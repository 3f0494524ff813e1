//! Any bytes that a client can send have a status, or are the beginning of a request, however they are cut; and the head
//! of the answer is one.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = debug_pprof::http::status_offline(bytes);
});

//! Any bytes for a profile are taken apart by the tests' own decoder without a panic, into violations or a profile that can
//! be read. Each input is tried as it is and as what a gzip member holds, because no fuzzer guesses a checksum.
#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/validator/mod.rs"]
mod validator;

use validator::{Expect, Kind};

fuzz_target!(|bytes: &[u8]| {
    decode(bytes);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(bytes).expect("a vector takes all");
    decode(&gzip.finish().expect("a vector takes all"));
});

fn decode(body: &[u8]) {
    for expect in [
        Expect::new(Kind::Heap),
        Expect::new(Kind::Allocs).raw(),
        Expect::new(Kind::Mutex),
    ] {
        if validator::violations(body, expect).is_empty() {
            let profile = validator::assert_valid(body, expect);
            let _ = (profile.stacks(), profile.comments(), profile.main_binary());
            let _ = profile.function_names();
        }
    }
}

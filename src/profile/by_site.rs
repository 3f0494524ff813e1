//! A map keyed by where code is. A profile looks up hundreds of thousands of them, and they come from the program
//! itself, so one multiplication takes the place of a hash that withstands an attacker.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::sites::Site;

pub(super) type BySite<V> = HashMap<Site, V, BuildHasherDefault<AddressHasher>>;

/// Of a single `usize`.
#[derive(Debug, Default)]
pub(super) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write_usize(&mut self, address: usize) {
        // 2⁶⁴ divided by the golden ratio: spreads what differs in low bits into the high ones, of which the table takes
        // seven; folding brings them down to where it takes the rest.
        let product = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= product ^ (product >> 32);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

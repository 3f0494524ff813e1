//! `/symbol`: the names of the functions at given addresses, for a `debug=1` text that `go tool pprof` has read.

use std::fmt::Write;

use crate::profile::{self, Pieces};

/// Go's answer to a `+`-separated list of call addresses. Addresses without a name are left out; the first line
/// says only that names can be asked for at all. In pieces.
///
/// One address asked for ten thousand times has one line, where Go writes ten thousand: the size of the answer is not for
/// the client to choose.
pub(super) fn names(list: &[u8]) -> Pieces {
    let mut answer = Pieces::default();
    answer.add(b"num_symbols: 1\n");
    let mut line = String::new();
    let addresses = list.split(|&byte| byte == b'+').filter_map(address);
    let addresses: Vec<usize> = addresses.filter(|&address| address != 0).collect();
    profile::symbol_names(addresses, &mut |address, name| {
        // Writing to a String cannot fail.
        let _ = writeln!(line, "{address:#x} {name}");
        answer.add(line.as_bytes());
        line.clear();
    });
    answer
}

/// A number as Go's `ParseUint` with base 0 reads it: `0x1f`, `0o17`, `017`, `0b11` or decimal.
fn address(word: &[u8]) -> Option<usize> {
    let word = std::str::from_utf8(word).ok()?;
    let (digits, radix) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (word.get(2..)?, 16),
        [b'0', b'o' | b'O', ..] => (word.get(2..)?, 8),
        [b'0', b'b' | b'B', ..] => (word.get(2..)?, 2),
        [b'0', _, ..] => (word.get(1..)?, 8),
        _ => (word, 10),
    };
    // The standard library would take a sign.
    let is_unsigned = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_unsigned
        .then(|| usize::from_str_radix(digits, radix).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn numbers_are_hex_octal_binary_or_decimal() {
        for (word, expected) in [
            ("0x1f", Some(31)),
            ("0X1F", Some(31)),
            ("017", Some(15)),
            ("0o17", Some(15)),
            ("0b11", Some(3)),
            ("31", Some(31)),
            ("0", Some(0)),
            ("", None),
            ("0x", None),
            ("0x+1", None),
            ("-1", None),
            ("09", None),
            ("main", None),
            ("0x1ffffffffffffffff", None),
        ] {
            assert_eq!(address(word.as_bytes()), expected, "{word}");
        }
    }
}

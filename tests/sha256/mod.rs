//! SHA-256 and base64, for the hashes of a content security policy. Both are held to published vectors.

/// FIPS 180-4.
pub(crate) fn sha256(message: &[u8]) -> [u8; 32] {
    let primes = || (2_u32..).filter(|n| (2..*n).all(|d| n % d != 0));
    // The first 32 bits of the fractional part of a root.
    let fraction = |root: f64| (root.fract() * 4_294_967_296.0) as u32;
    let round: Vec<u32> = primes()
        .take(64)
        .map(|prime| fraction(f64::from(prime).cbrt()))
        .collect();
    let mut state: Vec<u32> = primes()
        .take(8)
        .map(|prime| fraction(f64::from(prime).sqrt()))
        .collect();
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut words: Vec<u32> = block
            .chunks_exact(4)
            .map(|four| u32::from_be_bytes(four.try_into().expect("four")))
            .collect();
        for at in 16..64 {
            let (a, b) = (words[at - 15], words[at - 2]);
            let near = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
            let far = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
            words.push(
                words[at - 16]
                    .wrapping_add(near)
                    .wrapping_add(words[at - 7])
                    .wrapping_add(far),
            );
        }
        let mut v = state.clone();
        for (word, key) in words.iter().zip(&round) {
            let (a, e) = (v[0], v[4]);
            let first = v[7]
                .wrapping_add(e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25))
                .wrapping_add((e & v[5]) ^ (!e & v[6]))
                .wrapping_add(*key)
                .wrapping_add(*word);
            let second = (a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22))
                .wrapping_add((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
            v.rotate_right(1);
            v[4] = v[4].wrapping_add(first);
            v[0] = first.wrapping_add(second);
        }
        for (sum, word) in state.iter_mut().zip(&v) {
            *sum = sum.wrapping_add(*word);
        }
    }
    let bytes: Vec<u8> = state.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes.try_into().expect("eight words")
}

/// RFC 4648, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let mut bits = 0_u32;
        for at in 0..3 {
            bits = bits << 8 | u32::from(three.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
            out.push(if at <= three.len() { digit.into() } else { '=' });
        }
    }
    out
}

#[test]
fn both_are_as_published() {
    let abc = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    assert_eq!(base64(&sha256(b"abc")), abc);
    let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(base64(&sha256(b"")), empty);
    let long = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
    let hash = sha256(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, long);
}

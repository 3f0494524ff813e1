//! Base64, decoding only: what an `Authorization: Basic` header holds.

/// The bytes that `text` stands for; `None` if it is not base64. Padding may be left out.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let unpadded = text
        .strip_suffix(b"==")
        .or_else(|| text.strip_suffix(b"="))
        .unwrap_or(text);
    let has_padding = unpadded.len() < text.len();
    if unpadded.len() % 4 == 1 || (has_padding && !text.len().is_multiple_of(4)) {
        return None;
    }
    let mut bytes = Vec::with_capacity(unpadded.len() / 4 * 3 + 2);
    // The bits that are not yet part of a byte, lowest last, and how many they are (0 to 13).
    let (mut bits, mut count) = (0_u32, 0_u32);
    for &digit in unpadded {
        bits = bits << 6 | value(digit)?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (text, expected) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Zg", "f"),
            ("Zm8", "fo"),
        ] {
            assert_eq!(
                decode(text.as_bytes()).as_deref(),
                Some(expected.as_bytes()),
                "{text}"
            );
        }
    }

    #[test]
    fn every_byte_can_be_had() {
        assert_eq!(decode(b"AP+/"), Some(vec![0x00, 0xff, 0xbf]));
        assert_eq!(decode(b"////"), Some(vec![0xff; 3]));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "Z", "Zg=", "Z===", "=", "==", "Zg==Zg==", "Zm9v=", "Z-8=", "Z 8=", "Zh==", "Zm9v\n",
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
    }
}

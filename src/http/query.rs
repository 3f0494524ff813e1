//! `Query`: the parameters of a request target, read with form semantics as Go's `Request.FormValue` reads them.

use std::num::IntErrorKind;

/// The raw query string of a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(super) fn new(raw: &'a str) -> Query<'a> {
        Query(raw)
    }

    /// The first value of `key`, decoded; empty if it is absent. A pair that is malformed (a bad escape, or a
    /// semicolon, which old software takes for a separator) does not exist, as in Go.
    pub(super) fn value(self, key: &str) -> String {
        self.0
            .split('&')
            .filter(|pair| !pair.contains(';'))
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((decode(name)?, decode(value)?))
            })
            .find(|(name, _)| name == key)
            .map_or_else(String::new, |(_, value)| value)
    }

    /// The value of `key` as Go's `strconv.Atoi` with the error ignored: 0 if it is not a number, and the nearest
    /// representable one if it is out of range.
    pub(super) fn integer(self, key: &str) -> i64 {
        let value = self.value(key).parse::<i64>();
        value.unwrap_or_else(|error| match error.kind() {
            IntErrorKind::PosOverflow => i64::MAX,
            IntErrorKind::NegOverflow => i64::MIN,
            _ => 0,
        })
    }
}

/// Undoes percent-encoding and `+` for a space; `None` for a `%` without two hex digits.
fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high << 4 | low).ok()?
            }
            other => other,
        });
    }
    Some(String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn values_are_decoded_and_the_first_one_counts() {
        for (raw, expected) in [
            ("", ""),
            ("seconds", ""),
            ("seconds=", ""),
            ("seconds=5", "5"),
            ("x=1&seconds=5&seconds=6", "5"),
            ("seconds=%35", "5"),
            ("%73econds=5", "5"),
            ("seconds=a+b", "a b"),
            ("seconds=%zz&seconds=5", "5"),
            ("seconds=%3", ""),
            ("seconds=%", ""),
            ("seconds=1;x=2", ""),
            ("Seconds=5", ""),
            ("seconds=5=6", "5=6"),
            ("seconds=%ff", "\u{fffd}"),
            ("&&seconds=5&", "5"),
        ] {
            assert_eq!(Query::new(raw).value("seconds"), expected, "{raw}");
        }
    }

    #[test]
    fn integers_are_read_as_atoi_with_its_error_ignored() {
        for (raw, expected) in [
            ("debug=1", 1),
            ("debug=-1", -1),
            ("debug=%2B2", 2),
            ("debug=abc", 0),
            ("debug=1.5", 0),
            ("debug=", 0),
            ("", 0),
            ("debug=99999999999999999999", i64::MAX),
            ("debug=-99999999999999999999", i64::MIN),
        ] {
            assert_eq!(Query::new(raw).integer("debug"), expected, "{raw}");
        }
    }
}

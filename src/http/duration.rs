//! Durations in a query, such as `min_age=1h30m`.

use std::time::Duration;

use super::query::Query;
use super::response::Response;

/// Go's units, in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    // Two characters that look alike, as in Go.
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3_600 * SECOND),
];

const SECOND: u64 = 1_000_000_000;

/// The duration that `query` gives for `key`; None if it gives none. What is no duration is a 400 that says what was read.
pub(super) fn wanted(query: Query<'_>, key: &str) -> Result<Option<Duration>, Response> {
    let value = query.value(key);
    if value.is_empty() {
        return Ok(None);
    }
    parse(&value).map(Some).ok_or_else(|| {
        let message = format!(
            "invalid value for \"{key}\": \"{}\" - must be a duration such as {key}=90s, {key}=10m or {key}=1h30m \
             (ns, us, ms, s, m, h; a number without a unit is seconds)",
            shown(&value)
        );
        Response::refusal(400, &message)
    })
}

/// What a client has sent, fit for a line of an answer: cut short, in characters that can be seen.
pub(super) fn shown(value: &str) -> String {
    const MOST: usize = 40;
    let mut shown: String = value
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if value.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// Reads `text` as Go's `time.ParseDuration` does, and a number without a unit as seconds. Not below 0, and not above the
/// 584 years that 64 bits of nanoseconds hold.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let mut rest = text;
    let mut nanos: u64 = 0;
    while !rest.is_empty() {
        let (amount, behind) = Amount::read(rest)?;
        let unit = behind.find(|of: char| of.is_ascii_digit() || of == '.');
        let (unit, next) = behind.split_at(unit.unwrap_or(behind.len()));
        let unit = match unit {
            "" if rest.len() == text.len() && behind.is_empty() => SECOND,
            name => UNITS.iter().find(|(known, _)| *known == name)?.1,
        };
        nanos = nanos.checked_add(amount.times(unit)?)?;
        rest = next;
    }
    (!text.is_empty()).then_some(Duration::from_nanos(nanos))
}

/// A decimal number: what is before its point, and what is behind it as a number and as so many digits.
struct Amount {
    whole: u64,
    parts: u64,
    digits: u32,
}

impl Amount {
    /// What `text` begins with, and what is behind that.
    fn read(text: &str) -> Option<(Self, &str)> {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = text.split_at(digits(text));
        let (parts, rest) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits(rest)),
            None => ("", rest),
        };
        if whole.is_empty() && parts.is_empty() {
            return None;
        }
        // What is behind the fifteenth digit is less than a nanosecond of an hour.
        let parts = parts.get(..15).unwrap_or(parts);
        let read = |digits: &str| match digits {
            "" => Some(0),
            digits => digits.parse::<u64>().ok(),
        };
        let amount = Amount {
            whole: read(whole)?,
            parts: read(parts)?,
            digits: parts.len() as u32,
        };
        Some((amount, rest))
    }

    /// So many units of `unit` nanoseconds, cut to whole ones.
    fn times(self, unit: u64) -> Option<u64> {
        let parts = u128::from(self.parts) * u128::from(unit) / 10_u128.pow(self.digits);
        let whole = self.whole.checked_mul(unit)?;
        whole.checked_add(u64::try_from(parts).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("0", 0),
            ("90s", 90 * SECOND),
            ("10m", 600 * SECOND),
            ("1h30m", 5_400 * SECOND),
            ("1h1m1s1ms1us1ns", 3_661_001_001_001),
            ("1.5h", 5_400 * SECOND),
            ("+5s", 5 * SECOND),
            (".5s", SECOND / 2),
            ("1.s", SECOND),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("12µs", 12_000),
            ("12μs", 12_000),
            ("1m1m", 120 * SECOND),
            ("876000h", 3_153_600_000 * SECOND),
            // Not Go's: seconds, because that is what `seconds=` takes.
            ("30", 30 * SECOND),
            ("1.5", 3 * SECOND / 2),
        ] {
            assert_eq!(parse(text), Some(Duration::from_nanos(expected)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            " ",
            "-1",
            "-10m",
            "abc",
            "s",
            ".",
            ".s",
            "+",
            "1d",
            "10 m",
            "10M",
            "1h-5m",
            "1e3s",
            "0x10s",
            "5m3",
            "1..5s",
            "++1s",
            "1,5s",
            "9999999h",
            "18446744073709551616ns",
            "99999999999999999999",
            "NaN",
            "inf",
            "١s",
            "1µ",
            "\u{fffd}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    /// Whatever it is, it is read or refused.
    #[test]
    fn nothing_makes_it_panic() {
        let letters = ["9", ".", "h", "m", "µ", "s", "-", "99999999999", "\u{0}"];
        for nth in 0..9_usize.pow(5) {
            let text: String = (0..5)
                .map(|place| letters[nth / 9_usize.pow(place) % 9])
                .collect();
            let _ = parse(&text);
        }
    }

    #[test]
    fn a_refusal_names_the_parameter_and_what_was_read() {
        let refused = |raw: &str| {
            let refusal = wanted(Query::new(raw), "min_age").expect_err("refused");
            assert_eq!(refusal.status, 400);
            String::from_utf8(refusal.body).unwrap()
        };
        let body = refused("min_age=abc");
        assert!(
            body.contains("\"min_age\": \"abc\"") && body.contains("min_age=10m"),
            "{body}"
        );
        let body = refused("min_age=%0d%0aX:1");
        assert!(
            body.contains("\\r\\nX:1") && !body.contains("\nX"),
            "{body}"
        );
        assert!(refused(&format!("min_age={}", "9".repeat(8_000))).len() < 400);
        assert_eq!(wanted(Query::new("min_age=&x=1"), "min_age"), Ok(None));
        assert_eq!(
            wanted(Query::new("min_age=5"), "min_age"),
            Ok(Some(Duration::from_secs(5)))
        );
    }
}

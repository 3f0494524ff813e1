//! `?label=age`: which labels a profile's samples are to have, besides the size that they always have.

use super::duration::shown;
use super::query::Query;
use super::response::Response;

/// A set of labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Labels {
    /// How long the objects have lived: `<1m` to `>=24h`, or `freed`.
    pub(super) age: bool,
}

impl Labels {
    /// The labels that `query` asks for, a list with commas. What is not known is a 400 that says what is.
    pub(super) fn wanted(query: Query<'_>) -> Result<Labels, Response> {
        let mut wanted = Labels::default();
        let value = query.value("label");
        if value.is_empty() {
            return Ok(wanted);
        }
        for name in value.split(',') {
            match name {
                "age" => wanted.age = true,
                _ => {
                    let message = format!(
                        "invalid value for \"label\": \"{}\" - must be age, as in label=age",
                        shown(name)
                    );
                    return Err(Response::refusal(400, &message));
                }
            }
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_known_or_refused() {
        let age = Labels { age: true };
        for (raw, expected) in [
            ("", Labels::default()),
            ("label=", Labels::default()),
            ("label=age", age),
            ("label=age,age", age),
            ("label=%61ge", age),
        ] {
            assert_eq!(Labels::wanted(Query::new(raw)), Ok(expected), "{raw}");
        }
        for raw in [
            "label=colour",
            "label=Age",
            "label=age,",
            "label=,age",
            "label=age+",
            "label=age;x",
        ] {
            let wanted = Labels::wanted(Query::new(raw));
            // Go's forms know no pair with a semicolon.
            if raw.contains(';') {
                assert_eq!(wanted, Ok(Labels::default()));
                continue;
            }
            let refusal = wanted.expect_err(raw);
            let body = String::from_utf8(refusal.body).unwrap();
            assert!(
                refusal.status == 400 && body.contains("label=age"),
                "{body}"
            );
        }
    }
}

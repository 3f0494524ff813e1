//! `?label=age,type`: which labels a profile's samples are to have, besides the size that they always have.

use super::duration::shown;
use super::query::Query;
use super::response::Response;

/// A set of labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Labels {
    /// How long the objects have lived: `<1m` to `>=24h`, or `freed`.
    pub(super) age: bool,
    /// What is stored in what was allocated: the type, where the stack tells.
    pub(super) of_type: bool,
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
                "type" => wanted.of_type = true,
                _ => {
                    let message = format!(
                        "invalid value for \"label\": \"{}\" - must be age or type, as in label=age,type",
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
        let age = Labels {
            age: true,
            of_type: false,
        };
        let of_type = Labels {
            age: false,
            of_type: true,
        };
        let both = Labels {
            age: true,
            of_type: true,
        };
        for (raw, expected) in [
            ("", Labels::default()),
            ("label=", Labels::default()),
            ("label=age", age),
            ("label=age,age", age),
            ("label=%61ge", age),
            ("label=type", of_type),
            ("label=age,type", both),
            ("label=type,age", both),
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

//! `?format=`: the form in which a profile is answered.

use super::duration::shown;
use super::query::Query;
use super::response::Response;
use crate::profile::{Pieces, ProfileFormat};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    kind: Kind,
    /// `?type=`, for a form that has one value only; empty for the one that the profile opens on.
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pprof,
    Json,
    Collapsed,
}

impl Form {
    /// The form that `query` asks for: gzipped pprof, as Go's, unless it says something else.
    ///
    /// # Errors
    /// A 400 for a form that there is not, and with parameters that go with no form but pprof.
    pub(super) fn wanted(query: Query<'_>) -> Result<Form, Response> {
        let format = query.value("format");
        let kind = match format.as_str() {
            "" | "pprof" => Kind::Pprof,
            "json" => Kind::Json,
            "collapsed" => Kind::Collapsed,
            other => return Err(unknown(other, "pprof, json or collapsed")),
        };
        if !format.is_empty() && query.integer("debug") != 0 {
            let message = "format and debug params are incompatible: debug=1 is a form of its own";
            return Err(Response::refusal(400, message));
        }
        if kind != Kind::Pprof && query.value("symbolize") == "0" {
            let message =
                "symbolize=0 is for format=pprof: nothing else can be given names later on";
            return Err(Response::refusal(400, message));
        }
        Ok(Form {
            kind,
            value: query.value("type"),
        })
    }

    pub(super) fn is_pprof(&self) -> bool {
        self.kind == Kind::Pprof
    }

    /// How a profile of these sample types is to be written, which opens on `default`, or on the last if that is empty.
    ///
    /// # Errors
    /// A 400 for a sample type that the profile has not.
    pub(super) fn of(
        &self,
        sample_types: &[&str],
        default: &str,
    ) -> Result<ProfileFormat, Response> {
        let wanted = match self.kind {
            Kind::Pprof => return Ok(ProfileFormat::Pprof),
            Kind::Json => return Ok(ProfileFormat::Json),
            Kind::Collapsed if self.value.is_empty() => default,
            Kind::Collapsed => self.value.as_str(),
        };
        let found = match wanted {
            "" => sample_types.len().checked_sub(1),
            name => sample_types.iter().position(|known| *known == name),
        };
        let value = found.ok_or_else(|| {
            let message = format!(
                "invalid value for \"type\": \"{}\" - must be {}",
                shown(wanted),
                sample_types.join(", ")
            );
            Response::refusal(400, &message)
        })?;
        Ok(ProfileFormat::Collapsed { value })
    }

    /// The answer with a profile in this form.
    pub(super) fn response(&self, filename: &str, body: Pieces) -> Response {
        match self.kind {
            Kind::Pprof => Response::profile(filename, body),
            Kind::Json => Response::json(body),
            Kind::Collapsed => Response::text(body),
        }
    }
}

/// The 400 for a form that there is not.
pub(super) fn unknown(format: &str, known: &str) -> Response {
    let format = shown(format);
    let message = format!("invalid value for \"format\": \"{format}\" - must be {known}");
    Response::refusal(400, &message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: [&str; 2] = ["samples", "cpu"];

    #[test]
    fn forms_are_known_or_refused() {
        for (raw, format) in [
            ("", ProfileFormat::Pprof),
            ("format=", ProfileFormat::Pprof),
            ("format=pprof&symbolize=0", ProfileFormat::Pprof),
            ("format=json", ProfileFormat::Json),
            ("format=collapsed", ProfileFormat::Collapsed { value: 1 }),
            (
                "format=collapsed&type=samples",
                ProfileFormat::Collapsed { value: 0 },
            ),
        ] {
            let form = Form::wanted(Query::new(raw)).expect(raw);
            assert_eq!(form.of(&TYPES, ""), Ok(format), "{raw}");
        }
        for (raw, said) in [
            ("format=svg", "must be pprof, json or collapsed"),
            ("format=JSON", "must be pprof, json or collapsed"),
            ("format=json&debug=1", "incompatible"),
            ("format=pprof&debug=2", "incompatible"),
            ("format=json&symbolize=0", "symbolize=0"),
            ("format=collapsed&type=bytes", "must be samples, cpu"),
        ] {
            let refusal = Form::wanted(Query::new(raw))
                .and_then(|form| form.of(&TYPES, ""))
                .expect_err(raw);
            let body = String::from_utf8(refusal.body).expect("UTF-8");
            assert!(
                refusal.status == 400 && body.contains(said),
                "{raw}: {body}"
            );
        }
        let opens_on = Form::wanted(Query::new("format=collapsed")).expect("known");
        let format = opens_on.of(&TYPES, "samples");
        assert_eq!(format, Ok(ProfileFormat::Collapsed { value: 0 }));
    }
}

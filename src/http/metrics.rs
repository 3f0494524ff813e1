//! `/metrics`: the format that the client would rather have.

use super::request::Request;
use super::response::Response;
use crate::stats::{self, Format};

/// Nothing is read for a `HEAD`.
pub(super) fn answer(request: &Request) -> Response {
    let format = preferred(request.accept.as_deref().unwrap_or_default());
    let body = if request.is_head() {
        String::new()
    } else {
        stats::render(format)
    };
    Response::metrics(format.content_type(), body)
}

/// OpenMetrics only where it is asked for by name, and not less than the plain text: a browser and `curl` get that. Who
/// accepts neither gets it too, as from Go's client library.
fn preferred(accept: &str) -> Format {
    let (mut open_metrics, mut text) = (0.0, None);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut version) = (1.0, None);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                // Nonsense counts as 0: not asked for.
                "q" => quality = value.trim().parse::<f32>().unwrap_or(0.0),
                "version" => version = Some(value.trim().trim_matches('"')),
                _ => {}
            }
        }
        match (kind.as_str(), version) {
            ("application/openmetrics-text", None | Some("1.0.0")) => {
                open_metrics = f32::max(open_metrics, quality);
            }
            ("text/plain", None | Some("0.0.4")) => {
                text = Some(f32::max(text.unwrap_or(0.0), quality));
            }
            _ => {}
        }
    }
    if open_metrics > text.unwrap_or(0.0) {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_with_the_higher_quality() {
        for (accept, format) in [
            // Prometheus 2 and 3, as they send it.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Format::Prometheus),
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            (
                "text/html,application/xhtml+xml,*/*;q=0.8",
                Format::Prometheus,
            ),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "Application/OpenMetrics-Text; Version=\"1.0.0\" ; Q=0.2",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=0.0.1",
                Format::Prometheus,
            ),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text;q=NaN", Format::Prometheus),
            (
                "application/openmetrics-text;q=x, text/plain;q=0.1",
                Format::Prometheus,
            ),
            (
                "application/openmetrics-text;q=0.3,text/plain;q=0.4",
                Format::Prometheus,
            ),
            (",;,=;q,;;q=", Format::Prometheus),
        ] {
            assert_eq!(preferred(accept), format, "{accept}");
        }
    }
}

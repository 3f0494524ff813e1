//! What stands beside a figure.

/// Whether a figure is within its bar.
pub(crate) fn verdict(is_within: bool) -> &'static str {
    if is_within { "ok" } else { "**MISSED**" }
}

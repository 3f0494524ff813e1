//! Whether a bench is to show only that it works: `SMOKE=1 cargo bench` runs each in seconds, with figures that mean
//! nothing.

use std::env;

pub(crate) fn is_smoke() -> bool {
    env::var_os("SMOKE").is_some_and(|value| value != "0")
}

/// For a table's heading, so that nobody takes such figures for a measurement.
pub(crate) fn note() -> &'static str {
    if is_smoke() {
        " (smoke run: the figures mean nothing)"
    } else {
        ""
    }
}

//! A number against a truth whose standard error is known.

use super::SIGMAS;

/// Fails if `found` is further from `truth` than chance explains. `error` is one standard error, or more than one.
pub(crate) fn assert_within(what: &str, found: f64, truth: f64, error: f64) {
    let sigmas = (found - truth) / error;
    println!("| {what} | {truth} | {found} | {sigmas:+.2} |");
    assert!(
        sigmas.abs() < SIGMAS,
        "{what}: {found} for {truth}, {sigmas:+.1} sigmas"
    );
}

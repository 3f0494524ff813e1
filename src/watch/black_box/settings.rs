//! What a black box does: its settings, their defaults and their checks.

use std::path::PathBuf;

use crate::error::Error;

/// The environment variable with the directory for dumps.
pub(super) const DIR_VARIABLE: &str = "DEBUG_PPROF_DUMP_DIR";

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) dir: PathBuf,
    pub(super) keep: usize,
    pub(super) max_bytes: u64,
    pub(super) resident_above: Option<u64>,
    pub(super) in_use_above: Option<u64>,
    pub(super) share_of_limit: Option<f64>,
    pub(super) pressure: Option<f64>,
    pub(super) signal: Option<i32>,
    pub(super) on_panic: bool,
    pub(super) at_exit: bool,
}

impl Settings {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            keep: super::DEFAULT_DUMPS_KEPT,
            max_bytes: super::DEFAULT_DUMP_BYTES,
            resident_above: None,
            in_use_above: None,
            share_of_limit: Some(super::DEFAULT_SHARE_OF_LIMIT),
            pressure: Some(super::DEFAULT_PRESSURE),
            signal: None,
            on_panic: false,
            at_exit: false,
        }
    }

    /// What the environment asks for; None if the variable is unset or empty.
    pub(super) fn of_environment() -> Option<Self> {
        let dir = std::env::var_os(DIR_VARIABLE)?;
        (!dir.is_empty()).then(|| Self::new(dir.into()))
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let bad = |setting: &str, reason: String| Err(Error::config(setting, reason));
        if self.dir.as_os_str().is_empty() {
            let reason = format!("no directory is named; use `dir`, or set {DIR_VARIABLE}");
            return bad("BlackBox::dir", reason);
        }
        if self.keep == 0 {
            return bad(
                "BlackBox::keep",
                "0 dumps would be kept; use 1 or more".to_owned(),
            );
        }
        if self.max_bytes == 0 {
            return bad(
                "BlackBox::max_bytes",
                "no dump has 0 bytes; use 1 MiB or more".to_owned(),
            );
        }
        for (setting, level, most, example) in [
            ("BlackBox::share_of_limit", self.share_of_limit, 1.0, "0.8"),
            (
                "BlackBox::pressure",
                self.pressure,
                100.0,
                "10.0 (per cent)",
            ),
        ] {
            if let Some(level) = level
                && !(level > 0.0 && level <= most)
            {
                let reason = format!("{level} is not above 0 and at most {most}; use {example}");
                return bad(setting, reason);
            }
        }
        for (setting, level) in [
            ("BlackBox::rss_above", self.resident_above),
            ("BlackBox::in_use_above", self.in_use_above),
        ] {
            if level == Some(0) {
                let reason = "everything is above 0 bytes; use 512 << 20, say".to_owned();
                return bad(setting, reason);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_by_name() {
        let base = || Settings::new("/tmp".into());
        assert!(base().check().is_ok());
        for (name, settings) in [
            ("dir", Settings::new(PathBuf::new())),
            ("keep", Settings { keep: 0, ..base() }),
            (
                "max_bytes",
                Settings {
                    max_bytes: 0,
                    ..base()
                },
            ),
            (
                "share_of_limit",
                Settings {
                    share_of_limit: Some(80.0),
                    ..base()
                },
            ),
            (
                "share_of_limit",
                Settings {
                    share_of_limit: Some(f64::NAN),
                    ..base()
                },
            ),
            (
                "pressure",
                Settings {
                    pressure: Some(0.0),
                    ..base()
                },
            ),
            (
                "rss_above",
                Settings {
                    resident_above: Some(0),
                    ..base()
                },
            ),
            (
                "in_use_above",
                Settings {
                    in_use_above: Some(0),
                    ..base()
                },
            ),
        ] {
            let said = settings.check().unwrap_err().to_string();
            assert!(said.contains(name) && said.contains("use "), "{said}");
        }
    }
}

//! Where cargo has the source of a crate.

use std::path::PathBuf;
use std::process::Command;

#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) directory: PathBuf,
}

/// The source of the dependency `name`, which cargo downloads if it must.
pub(crate) fn find(name: &str) -> Result<Source, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata = String::from_utf8_lossy(&output.stdout);
    // A path ends in NAME-VERSION/Cargo.toml, and needs no escapes.
    let manifests = metadata
        .split("\"manifest_path\":\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    for manifest in manifests {
        let directory = PathBuf::from(manifest.trim_end_matches("/Cargo.toml"));
        let version = directory
            .file_name()
            .and_then(|file| file.to_str()?.strip_prefix(name)?.strip_prefix('-'))
            .filter(|version| version.starts_with(|first: char| first.is_ascii_digit()));
        if let Some(version) = version {
            return Ok(Source {
                name: name.to_owned(),
                version: version.to_owned(),
                directory,
            });
        }
    }
    Err(format!(
        "no such dependency of tests/interop/Cargo.toml: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

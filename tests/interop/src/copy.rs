//! A crate's source, copied to where it can be changed and built.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sources::Source;

/// What each program of a suite gets at its end.
const ALLOCATOR: &str = "
#[cfg(test)]
#[global_allocator]
static PROFILED: ::debug_pprof_interop::Allocator = ::debug_pprof_interop::allocator();
";

/// For benches only, and a hundred crates to build.
const NOT_NEEDED: &str = "criterion";

/// A program that brings an allocator of its own keeps it.
const HAS_ONE: &str = "#[global_allocator]";

/// The suite as it is.
pub(crate) fn bare(source: &Source, target: &Path) -> Result<PathBuf, String> {
    copy(source, &target.join("bare"), false).map_err(|error| error.to_string())
}

/// The suite with the profiler's allocator in each of its programs.
pub(crate) fn profiled(source: &Source, target: &Path) -> Result<PathBuf, String> {
    copy(source, &target.join("profiled"), true).map_err(|error| error.to_string())
}

fn copy(source: &Source, to: &Path, profiled: bool) -> io::Result<PathBuf> {
    let to = to.join(&source.name);
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    copy_directory(&source.directory, &to)?;
    let manifest = to.join("Cargo.toml");
    let mut text = without_table(
        &fs::read_to_string(&manifest)?,
        &format!("[dev-dependencies.{NOT_NEEDED}]"),
    );
    if profiled {
        let here = env!("CARGO_MANIFEST_DIR");
        text.push_str(&format!(
            "\n[dev-dependencies.debug-pprof-interop]\npath = \"{here}\"\n"
        ));
        for program in programs(&to)? {
            let code = fs::read_to_string(&program)?;
            if !code.contains(HAS_ONE) {
                fs::write(&program, code + ALLOCATOR)?;
            }
        }
    }
    text.push_str("\n[workspace]\n");
    fs::write(&manifest, text)?;
    Ok(to)
}

/// The roots of the crates that become test programs: the library's, and each integration test's.
fn programs(package: &Path) -> io::Result<Vec<PathBuf>> {
    let mut programs = vec![package.join("src/lib.rs")];
    let tests = package.join("tests");
    if tests.exists() {
        for entry in fs::read_dir(tests)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                programs.push(path);
            }
        }
    }
    Ok(programs)
}

/// The manifest without one of its tables.
fn without_table(manifest: &str, header: &str) -> String {
    let mut is_inside = false;
    let lines = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            is_inside = *line == header;
        }
        !is_inside
    });
    lines.map(|line| format!("{line}\n")).collect()
}

fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            // Written anew, so that it can be changed whatever the mode of the original.
            fs::write(target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

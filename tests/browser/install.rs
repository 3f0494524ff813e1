//! Where the browser is: on PATH, or else installed from Debian's archive by who may.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

const ADVICE: &str =
    "the tests of the page run a browser: install chromium and chromium-driver (chromedriver)";

/// Starts as `chromedriver`, and finds its browser by itself.
pub(super) fn driver() -> PathBuf {
    let driver = PathBuf::from("chromedriver");
    if is_there(&driver) {
        return driver;
    }
    install().unwrap_or_else(|reason| panic!("{ADVICE} ({reason})"));
    assert!(is_there(&driver), "{ADVICE}");
    driver
}

fn is_there(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// A browser needs a hundred libraries in their places, so it cannot be unpacked under `target/` as other tools are.
fn install() -> Result<(), String> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(home).map_err(|error| error.to_string())?;
    // Test processes may run side by side; the lock ends with the file, however its holder ends.
    let lock = File::create(home.join("browser.lock")).map_err(|error| error.to_string())?;
    // SAFETY: flock takes no pointers, and the descriptor is open for as long as `lock` lives.
    if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) } != 0 {
        return Err(std::io::Error::last_os_error().to_string());
    }
    let packages = ["chromium", "chromium-driver", "fonts-dejavu-core"];
    let install = ["install", "-y", "--no-install-recommends"];
    let install = install.into_iter().chain(packages);
    // The list of packages may be missing, or too old.
    apt_get(install.clone())
        .or_else(|_| apt_get(["update"].into_iter()).and_then(|()| apt_get(install)))
}

fn apt_get<'a>(arguments: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

//! Small libraries in C, built by the machine's compiler, loaded and unloaded.
#![allow(dead_code, reason = "each test crate uses the part that it needs")]

use std::ffi::{CStr, CString, c_void};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

/// Compiles `source` to a library called `name`, in a directory of this process's own.
pub(crate) fn build(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let library = path(name, process::id());
    fs::create_dir_all(library.parent().expect("a directory"))
        .expect("cargo's test directory is writable");
    let file = library.with_extension("c");
    fs::write(&file, source).expect("a file of this process's");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-g", "-fno-omit-frame-pointer"])
        .args(flags)
        .arg("-o")
        .arg(&library)
        .arg(&file)
        .output()
        .expect("a C compiler");
    assert!(output.status.success(), "{name}: {output:?}");
    let _ = fs::remove_file(file);
    library
}

/// Where the library is that a process has built by this name.
pub(crate) fn path(name: &str, process: u32) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c-library");
    directory.join(format!("{name}-{process}.so"))
}

/// A library that is loaded, until it is dropped.
pub(crate) struct Loaded(*mut c_void);

impl Loaded {
    pub(crate) fn open(library: &Path) -> Self {
        let path = CString::new(library.as_os_str().as_bytes()).expect("a path");
        // SAFETY: a library of this test's, whose constructors this test knows.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "{library:?}");
        Self(handle)
    }

    /// The address of a symbol of its own.
    pub(crate) fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: the library is loaded.
        let symbol = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!symbol.is_null(), "{name:?}");
        symbol
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: loaded by `open`; this test calls nothing of it after this.
        unsafe { libc::dlclose(self.0) };
    }
}

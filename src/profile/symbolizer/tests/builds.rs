//! Small libraries as compilers and linkers make them: what is between a source and a reader of its debug information.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Generic, inlined, nested, in several modules.
pub(super) const RUST: &str = r#"
use std::collections::{BTreeMap, HashMap};
pub mod deep { pub mod er {
    #[inline(always)] pub fn third<T: Clone>(v: &[T], n: usize) -> Vec<T> { v.iter().cycle().take(n).cloned().collect() }
    #[inline] pub fn second<T: Clone + Ord>(v: &[T]) -> Vec<T> { let mut v = third(v, v.len() * 2); v.sort(); v }
} }
pub trait Shape { fn area(&self) -> f64; fn name(&self) -> String { format!("{:.1}", self.area()) } }
struct Square(f64);
struct Circle<T>(T);
impl Shape for Square { fn area(&self) -> f64 { self.0 * self.0 } }
impl<T: Into<f64> + Copy> Shape for Circle<T> { fn area(&self) -> f64 { self.0.into() * 3.14 } }
#[unsafe(no_mangle)] pub extern "C" fn NAME(n: usize) -> usize {
    let mut map: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for i in 0..n { map.entry(format!("{}", i % 7)).or_default().push(i as u32); }
    let shapes: Vec<Box<dyn Shape>> = vec![Box::new(Square(2.0)), Box::new(Circle(1.5f32)), Box::new(Circle(3u8))];
    let names: HashMap<String, usize> = shapes.iter().map(|s| (s.name(), n)).collect();
    map.values().map(|v| deep::er::second(v).len()).sum::<usize>() + names.len()
}
"#;

pub(super) const C: &str = r#"
static inline __attribute__((always_inline)) int inner(int n) { int s = 0; for (int i = 0; i < n; i++) s += i ^ (s << 1); return s; }
static __attribute__((noinline)) int middle(int n) { return inner(n) + inner(n / 2); }
__attribute__((noinline, cold)) int apart(int n) { return middle(n) * 3; }
int NAME(int n) { return n > 10 ? apart(n) : middle(n) + inner(3); }
"#;

/// Builds of the same source: what is between a compiler's debug information and a reader.
pub(super) const RUST_BUILDS: [(&str, &[&str]); 15] = [
    ("debug", &["-Cdebuginfo=2"]),
    ("limited", &["-Copt-level=3", "-Cdebuginfo=1"]),
    ("full", &["-Copt-level=2", "-Cdebuginfo=2"]),
    (
        "small",
        &["-Copt-level=z", "-Cdebuginfo=2", "-Cpanic=abort"],
    ),
    ("lines", &["-Copt-level=2", "-Cdebuginfo=line-tables-only"]),
    ("none", &["-Copt-level=2", "-Cdebuginfo=0"]),
    (
        "v0",
        &[
            "-Copt-level=2",
            "-Cdebuginfo=2",
            "-Csymbol-mangling-version=v0",
        ],
    ),
    (
        "dwarf5",
        &["-Copt-level=2", "-Cdebuginfo=2", "-Cdwarf-version=5"],
    ),
    ("fat", &["-Copt-level=3", "-Cdebuginfo=2", "-Clto=fat"]),
    (
        "one-unit",
        &[
            "-Copt-level=3",
            "-Cdebuginfo=1",
            "-Ccodegen-units=1",
            "-Clto=thin",
        ],
    ),
    (
        "compressed",
        &[
            "-Copt-level=2",
            "-Cdebuginfo=2",
            "-Clink-arg=-Wl,--compress-debug-sections=zlib",
        ],
    ),
    (
        "strip-debuginfo",
        &["-Copt-level=2", "-Cdebuginfo=2", "-Cstrip=debuginfo"],
    ),
    // What these two leave to a file beside the library is not there: see `build`.
    (
        "packed",
        &["-Copt-level=2", "-Cdebuginfo=2", "-Csplit-debuginfo=packed"],
    ),
    (
        "unpacked",
        &[
            "-Copt-level=2",
            "-Cdebuginfo=2",
            "-Csplit-debuginfo=unpacked",
        ],
    ),
    (
        "stripped",
        &["-Copt-level=2", "-Cdebuginfo=2", "-Cstrip=symbols"],
    ),
];

pub(super) const C_BUILDS: [(&str, &[&str]); 6] = [
    ("c-dwarf4", &["-O2", "-g", "-gdwarf-4"]),
    ("c-dwarf5", &["-O2", "-g", "-gdwarf-5"]),
    ("c-compressed", &["-O2", "-g", "-gz"]),
    ("c-split", &["-O2", "-g", "-gsplit-dwarf"]),
    ("c-lto", &["-O2", "-g", "-flto"]),
    ("c-no-id", &["-O1", "-g", "-Wl,--build-id=none"]),
];

fn directory() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let directory = test.parent().unwrap().join("symbolizer-oracle");
    fs::create_dir_all(&directory).unwrap();
    directory
}

pub(super) fn build(
    name: &str,
    compiler: &str,
    suffix: &str,
    source: &str,
    flags: &[&str],
) -> PathBuf {
    let directory = directory();
    let file = directory.join(format!("{name}.{suffix}"));
    let library = directory.join(format!("lib{name}.so"));
    fs::write(
        &file,
        source.replace("NAME", &format!("entry_{}", name.replace('-', "_"))),
    )
    .unwrap();
    let mut command = Command::new(compiler);
    command.args(flags).arg("-o").arg(&library).arg(&file);
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{compiler}: {e}"));
    assert!(output.status.success(), "{name}: {output:?}");
    // Split debug information is not deployed with what it belongs to.
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let is_split = path
            .extension()
            .is_some_and(|it| it == "dwo" || it == "dwp");
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        if is_split && file.contains(name) {
            fs::remove_file(&path).unwrap();
        }
    }
    library
}

pub(super) fn load(library: &Path) {
    let path = CString::new(library.as_os_str().as_bytes()).unwrap();
    // SAFETY: a library that was just built; it has no constructors of its own.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null(), "{library:?}");
}

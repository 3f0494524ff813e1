//! Names are the right ones or none while the program's and its libraries' files go, are replaced or cannot be reached,
//! and when the program was started through the loader.
#![cfg(all(target_arch = "x86_64", target_env = "gnu", feature = "symbolize"))]

mod c_library;
mod child_process;
mod validator;

use std::env;
use std::ffi::{CString, c_void};
use std::fs;
use std::hint::black_box;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::ptr;

use c_library::{Loaded, build};
use child_process::{case, command_of, end, run};
use debug_pprof::{HeapProfile, ProfiledAllocator};
use validator::{Expect, Kind, Profile, assert_valid};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

/// Of the blocks that are looked for; nothing else in the process asks for as much.
const SIZE: usize = 8_461;

const TEST: &str = "names_are_right_or_absent_when_files_change";

/// Two of these differ in names and in no address.
const SOURCE: &str = "
__attribute__((noinline)) void NAME_calls(void (*call)(void *), void *with) {
    call(with);
    __asm__ volatile(\"\");
}
void enter(void (*call)(void *), void *with) { NAME_calls(call, with); __asm__ volatile(\"\"); }
";

fn library(name: &str, flags: &[&str]) -> PathBuf {
    build(name, &SOURCE.replace("NAME", name), flags)
}

unsafe extern "C" fn allocate(_: *mut c_void) {
    drop(black_box(Vec::<u8>::with_capacity(black_box(SIZE))));
}

#[inline(never)]
fn known_caller(library: &Loaded) {
    type Enter = unsafe extern "C" fn(unsafe extern "C" fn(*mut c_void), *mut c_void);
    // SAFETY: the library's function has this signature.
    let enter = unsafe { std::mem::transmute::<*mut c_void, Enter>(library.symbol(c"enter")) };
    // SAFETY: calls back once.
    unsafe { enter(allocate, ptr::null_mut()) };
    black_box(());
}

/// The names of the one stack, leaf first: the callback, two of the library, the caller.
fn names(profile: &Profile) -> [String; 4] {
    let stacks = profile.stacks();
    let is_it =
        |stack: &&validator::Stack| stack.numeric_labels.get("bytes") == Some(&(SIZE as i64));
    let stack = stacks.iter().find(is_it).expect("was sampled");
    let mut names = stack
        .frames
        .chunk_by(|one, next| one.address == next.address);
    // The outermost of those that are inlined into one another; below are the allocator's, where they have no names.
    let names: Vec<String> = names
        .by_ref()
        .map(|frames| frames[frames.len() - 1].name.clone())
        .collect();
    let at = names
        .iter()
        .position(|name| name.ends_with("::allocate"))
        .unwrap_or(0);
    [0, 1, 2, 3].map(|nth| names[at + nth].clone())
}

fn profile(program: &str) -> Profile {
    let profile = HeapProfile::capture().expect("installed");
    let mut body = Vec::new();
    profile.write_pprof(&mut body).expect("a vector takes all");
    debug_pprof::set_sample_rate(0);
    let profile = assert_valid(&body, Expect::new(Kind::Heap).period(1));
    let (first, build_id) = profile.main_binary().expect("a mapping");
    assert_eq!(first, program);
    assert_eq!(build_id.len(), 40, "{build_id}");
    profile
}

/// In a child, whose program is a copy at `program`.
fn child(case: &str, program: &Path) {
    let flags: &[&str] = match case {
        "library replaced, without build ids" => &["-Wl,--build-id=none"],
        "library replaced, one build id" => &["-Wl,--build-id=0x5eed5eed"],
        _ => &["-Wl,--build-id=sha1"],
    };
    let (first, other) = (library("first", flags), library("other", flags));
    let loaded = Loaded::open(&first);
    known_caller(&loaded);
    match case {
        "through the loader" => {
            let exe = env::current_exe().expect("the kernel's link");
            assert_ne!(exe, program);
        }
        "deleted" => fs::remove_file(program).expect("the copy"),
        // Another program, under the name of this one.
        "replaced" => fs::rename(&other, program).expect("the copy"),
        "library deleted" => fs::remove_file(&first).expect("the library"),
        "in an empty root" => enter_empty_root(&program.with_extension("root")),
        _ => fs::rename(&other, &first).expect("the library"),
    }
    let name = |path: &Path| {
        path.file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned()
    };
    let [callback, calls, enter, caller] = names(&profile(&name(program)));
    let of_library = format!("{}+0x", name(&first));
    if case == "in an empty root" {
        // From what the loader knows.
        let of_program = format!("{}+0x", name(program));
        assert!(!callback.contains("::") && !caller.contains("::"));
        assert!(caller.starts_with(&of_program), "{caller}");
        // The allocator's own frames come first, where nothing has a name.
        return;
    }
    // The program's are right, whatever became of its file.
    assert!(callback.ends_with("::allocate"), "{callback}");
    assert!(caller.ends_with("::known_caller"), "{caller}");
    if case.starts_with("library") {
        // Not `other_calls`, which is there now.
        assert!(calls.starts_with(&of_library), "{calls}");
        assert!(enter.starts_with(&of_library), "{enter}");
    } else {
        assert_eq!([calls.as_str(), enter.as_str()], ["first_calls", "enter"]);
    }
}

fn enter_empty_root(root: &Path) {
    fs::create_dir_all(root).expect("cargo's test directory is writable");
    let root = CString::new(root.as_os_str().as_bytes()).expect("a path");
    // SAFETY: a C string; the process has nothing to lose.
    assert_eq!(unsafe { libc::chroot(root.as_ptr()) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::chdir(c"/".as_ptr()) }, 0);
}

/// This program, copied where it can be changed.
fn copy(case: &str) -> PathBuf {
    let name = format!(
        "program-{}-{}",
        process::id(),
        case.replace([' ', ','], "-")
    );
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::copy(env::current_exe().expect("this program"), &copy).expect("a copy");
    copy
}

/// Whether the child that does `case` succeeds.
fn succeeds(case: &str) -> bool {
    let program = copy(case);
    let mut command = match case {
        "through the loader" => {
            let mut command = Command::new("/lib64/ld-linux-x86-64.so.2");
            command.arg(&program);
            command
        }
        _ => Command::new(&program),
    };
    let child = command_of(&mut command, TEST, case).env("PROGRAM", &program);
    let child = run(child);
    let id = child.id();
    let status = end(child);
    for name in ["first", "other"] {
        let _ = fs::remove_file(c_library::path(name, id));
    }
    let _ = fs::remove_file(&program);
    let _ = fs::remove_dir(program.with_extension("root"));
    status.success()
}

#[test]
fn names_are_right_or_absent_when_files_change() {
    if let Some(case) = case() {
        let program = env::var_os("PROGRAM").expect("set by the parent");
        return child(&case, Path::new(&program));
    }
    let mut cases = vec![
        "through the loader",
        "deleted",
        "replaced",
        "library deleted",
        "library replaced",
        "library replaced, without build ids",
    ];
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } == 0 {
        cases.push("in an empty root");
    }
    for case in cases {
        assert!(succeeds(case), "{case}");
    }
    // Files that claim to be what runs are believed; this test sees what comes of it.
    assert!(!succeeds("library replaced, one build id"));
}

//! The other text views of one profile.

use crate::captured;
use crate::example_binary::Build;
use crate::go_pprof::pprof;
use crate::leaky_service::executable;
use crate::top::Top;

fn view(args: &[&str]) -> String {
    let mut all = args.to_vec();
    all.push(captured::first_run().file());
    pprof(&all)
}

#[test]
fn list_puts_the_bytes_on_the_source_line() {
    let text = view(&["-list", "cache::remember", "-sample_index=inuse_space"]);
    assert!(
        text.contains("leaky_service::cache::remember in "),
        "{text}"
    );
    assert!(text.contains("examples/leaky_service/cache.rs"), "{text}");
    let line = text
        .lines()
        .find(|line| line.contains("pages.insert(id, page.into())"));
    let line = line.unwrap_or_else(|| panic!("the source is not shown:\n{text}"));
    let cum = line.split_whitespace().nth(1).unwrap_or_default();
    assert!(cum.ends_with("MB"), "{line}");
}

#[test]
fn traces_lead_from_the_leak_to_the_thread() {
    let text = view(&["-traces", "-sample_index=inuse_space"]);
    let trace = text
        .split("-----------+")
        .find(|trace| trace.contains("leaky_service::cache::remember"));
    let trace = trace.unwrap_or_else(|| panic!("no trace of the cache:\n{text}"));
    let mut from = 0;
    for function in [
        "leaky_service::cache::remember",
        "leaky_service::service::Service::answer",
        "leaky_service::service::Service::serve",
        "std::sys::backtrace::__rust_begin_short_backtrace",
    ] {
        let at = trace[from..].find(function);
        from += at.unwrap_or_else(|| panic!("{function} is missing or out of order in\n{trace}"));
    }
}

#[test]
fn generics_survive() {
    let text = view(&["-traces"]);
    // The call of a boxed closure is at the root of each thread that std starts.
    let is_whole =
        |line: &&str| line.contains('<') && line.contains(" as ") && line.contains(">::");
    assert!(
        text.lines().any(|line| is_whole(&line)),
        "no `<T as Trait>::method` in\n{text}"
    );
    assert!(
        !text.lines().any(|line| line.trim_start().starts_with("::")),
        "cut names in\n{text}"
    );
}

#[test]
fn peek_shows_the_caller() {
    let text = view(&["-peek", "cache::remember$", "-sample_index=inuse_space"]);
    assert!(text.contains("| "), "{text}");
    assert!(
        text.contains("leaky_service::service::Service::answer"),
        "{text}"
    );
}

#[test]
fn tags_show_block_sizes() {
    let text = view(&["-tags", "-sample_index=inuse_space"]);
    assert!(text.contains("bytes: Total"), "{text}");
    assert!(text.contains(": 64kB"), "{text}");
    assert!(text.contains(": 36kB"), "{text}");
}

#[test]
fn raw_shows_types_period_and_mappings() {
    let text = view(&["-raw"]);
    assert!(text.contains("PeriodType: space bytes"), "{text}");
    assert!(text.contains("Period: 1\n"), "{text}");
    assert!(
        text.contains(
            "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes"
        ),
        "{text}"
    );
    let (file, build_id) = captured::first_run()
        .profile
        .main_binary()
        .expect("a main binary");
    let mappings = text.split("Mappings\n").nth(1).unwrap_or_default();
    let first = mappings.lines().next().unwrap_or_default();
    assert!(first.starts_with("1: 0x"), "{first:?}");
    assert!(
        first.ends_with(&format!("{file} {build_id} [FN][FL][LN][IN]")),
        "{first:?}"
    );
}

#[test]
fn inlined_calls_are_marked_in_a_release_build() {
    let text = pprof(&["-traces", captured::release_run().file()]);
    assert!(text.contains(" (inline)"), "{text}");
}

/// The raw form's addresses are the executable's own: the tool names them, in the short form of DWARF.
#[test]
fn raw_form_is_named_by_the_executable() {
    let executable = executable(Build::Release);
    let executable = executable.to_str().expect("the target directory is UTF-8");
    let top = Top::of(&[executable, captured::release_run().raw_file()]);
    for function in ["remember", "keep_slice", "start"] {
        assert!(top.row(function).cum > 0, "{function}: {top:#?}");
    }
}

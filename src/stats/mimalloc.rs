//! mimalloc's view: `mi_stats_get_json`, whose shape its versions 2 and 3 share, where the C structure's differs.

use std::ffi::{CStr, c_char};

use super::allocator_view::{AllocatorView, ViewedAllocator};

// So that the library is linked, whose crate does not name this function.
use libmimalloc_sys as _;

unsafe extern "C" {
    fn mi_stats_get_json(bytes: usize, buffer: *mut c_char) -> *mut c_char;
}

/// mimalloc as `mimalloc` 0.1.49 and later build it. How much is in use it says only if it was built with its own
/// statistics, as debug builds are.
///
/// ```
/// debug_pprof::stats::set_allocator_view(&debug_pprof::stats::Mimalloc);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Mimalloc;

/// Room for the text, which is 14 KiB.
const TEXT: usize = 64 << 10;

impl ViewedAllocator for Mimalloc {
    fn name(&self) -> &'static str {
        "mimalloc"
    }

    fn view(&self) -> Option<AllocatorView> {
        let mut text: Vec<c_char> = vec![0; TEXT];
        // SAFETY: the buffer has so many bytes; mimalloc ends what it writes into it with a zero.
        let written = unsafe { mi_stats_get_json(text.len(), text.as_mut_ptr()) };
        if written.is_null() {
            return None;
        }
        if let Some(last) = text.last_mut() {
            *last = 0;
        }
        // SAFETY: the last byte of the buffer is a zero.
        let text = unsafe { CStr::from_ptr(text.as_ptr()) };
        Some(parse(&text.to_string_lossy()))
    }
}

fn parse(text: &str) -> AllocatorView {
    let current = |name: &str| {
        let (_, rest) = text.split_once(&format!("\"{name}\": {{"))?;
        let (fields, _) = rest.split_once('}')?;
        let (_, current) = fields.split_once("\"current\":")?;
        current.trim().parse::<u64>().ok()
    };
    let in_use = current("malloc_normal")
        .zip(current("malloc_huge"))
        .map(|(normal, huge)| normal + huge)
        // 0 where nothing is counted.
        .filter(|bytes| *bytes > 0);
    let (mapped, active) = (current("reserved"), current("committed"));
    AllocatorView {
        in_use,
        mapped,
        active,
        idle: active
            .zip(in_use)
            .map(|(all, used)| all.saturating_sub(used)),
        released: mapped
            .zip(active)
            .map(|(all, held)| all.saturating_sub(held)),
        metadata: None,
    }
}

#[test]
fn the_text_is_read() {
    let text = r#"{ "reserved": { "total": 9, "peak": 8, "current": 700 },
        "committed": { "total": 9, "peak": 8, "current": 500 },
        "malloc_normal": { "total": 9, "peak": 8, "current": 100 },
        "malloc_huge": { "total": 9, "peak": 8, "current": 50 } }"#;
    let view = parse(text);
    assert_eq!(
        (view.in_use, view.mapped, view.active),
        (Some(150), Some(700), Some(500))
    );
    assert_eq!((view.idle, view.released), (Some(350), Some(200)));
    assert_eq!(parse(""), AllocatorView::default());
}

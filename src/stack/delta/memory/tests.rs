use super::*;

/// Pages, of which the one at `hole` cannot be read.
fn with_hole(pages: usize, hole: usize) -> usize {
    let start = crate::pages::map(pages * PAGE).unwrap();
    // SAFETY: within the mapping above.
    let at = unsafe { start.add(hole * PAGE) };
    // SAFETY: one page of that mapping, which nobody uses.
    unsafe { libc::mprotect(at.as_ptr().cast(), PAGE, libc::PROT_NONE) };
    start.as_ptr().addr()
}

#[test]
fn mapped_and_unmapped_pages_are_told_apart() {
    let start = with_hole(3, 1);
    assert!(is_readable(start) && is_readable(start + 2 * PAGE));
    assert!(!is_readable(start + PAGE));
    assert!(!is_readable(0) && !is_readable(usize::MAX & !7));
    assert!(can_be_asked_about());
}

#[test]
fn a_threads_own_stack_is_remembered_once_a_walk_came_to_its_root() {
    let look = || {
        let own = OwnStack::unknown();
        let local = 7_usize;
        let sp = (&raw const local).addr();
        let mut memory = Memory::from(&own, sp);
        assert_eq!(memory.read(sp), Some(7));
        assert_eq!(own.end.get(), 0, "not before the root");
        let (end, _) = own_end();
        let root = (end - 4096) & !7;
        assert!(memory.read(root).is_some());
        memory.came_to_root(root + 8);
        assert!((own.low.get()..own.end.get()).contains(&sp));
        // From a deeper place, only what is new is asked about.
        let pages = Memory::from(&own, sp - 2 * PAGE).pages_left;
        let mut deeper = Memory::from(&own, sp - 2 * PAGE);
        assert!(deeper.read(root).is_some());
        assert!(pages - deeper.pages_left <= 2);
        let mut memory = Memory::from(&own, sp);
        assert_eq!(memory.read(sp + 1), None, "not aligned");
        assert_eq!(memory.read(0), None);
    };
    std::thread::spawn(look).join().unwrap();
    std::thread::Builder::new()
        .stack_size(64 * 1024)
        .spawn(look)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn a_foreign_stack_is_read_up_to_its_end_and_never_remembered() {
    let start = with_hole(4, 3);
    let own = OwnStack::unknown();
    let mut memory = Memory::from(&own, start + 8);
    assert_eq!(memory.read(start + 8), Some(0));
    assert_eq!(memory.read(start + 3 * PAGE - 8), Some(0), "over a gap");
    assert_eq!(memory.read(start + 3 * PAGE), None);
    assert_eq!(memory.read(start - 8), None, "a walk goes up");
    memory.came_to_root(start + 3 * PAGE);
    assert_eq!((own.low.get(), own.end.get()), (0, 0));
}

#[test]
fn a_walk_changes_its_stack_a_few_times_at_most() {
    let own = OwnStack::unknown();
    let mut memory = Memory::from(&own, 4096);
    assert_eq!((0..100).filter(|_| memory.switch_to(4096)).count(), 8);
}

//! Fork children draw gaps of their own: not their parent's, not their siblings'. What is left of the gap that was under
//! way at the fork is the parent's.

mod measured;
mod sampled_gaps;
mod statistics;

use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;

use debug_pprof::ProfiledAllocator;
use sampled_gaps::{Gap, Watch};
use statistics::anderson_darling::{assert_uniform, place};
use statistics::{CHANCE, Random, correlation};

const RATE: usize = 16_384;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(RATE);

/// Ends a child that hangs; no child is measured by it.
const WATCHDOG_SECONDS: u32 = 30;

const CHILDREN: usize = 300;
/// Gaps of each child, after the one under way.
const GAPS: usize = 4;

#[test]
fn fork_children_draw_their_own_gaps() {
    let children: Vec<[Gap; GAPS]> = (0..CHILDREN).map(|_| gaps_of_a_child()).collect();
    let mut random = Random::of_this_run();
    let mut place = |(from, to): Gap| place(from, to, RATE as f64, &mut random);
    // All first ones, then all second ones: neighbours are siblings.
    let places: Vec<f64> = (0..GAPS)
        .flat_map(|nth| children.iter().map(move |gaps| gaps[nth]))
        .map(&mut place)
        .collect();
    assert_uniform("gaps of fork children", &places, CHANCE);
    correlation::assert_none("gaps of siblings", &places, 1);
    correlation::assert_none("gaps of one child", &places, CHILDREN);
}

fn gaps_of_a_child() -> [Gap; GAPS] {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let [reader, writer] = ends;
    // SAFETY: the child calls only what this test is about, `write` and `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: no preconditions.
        unsafe { libc::alarm(WATCHDOG_SECONDS) };
        let gaps = gaps_of_this_process();
        // SAFETY: the array is that many bytes, all initialised: pairs of f64 have no padding.
        let written = unsafe { libc::write(writer, gaps.as_ptr().cast(), size_of_val(&gaps)) };
        let status = i32::from(written as usize != size_of_val(&gaps));
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(status) }
    }
    assert!(child > 0, "no fork");
    // SAFETY: the child has the writing end; nobody uses this one.
    unsafe { libc::close(writer) };
    // SAFETY: the reading end of the pipe, owned here only.
    let mut reader = unsafe { File::from_raw_fd(reader) };
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).expect("a pipe");
    // SAFETY: waits for our child; no status is asked for.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    let numbers: Vec<f64> = bytes
        .chunks_exact(size_of::<f64>())
        .map(|number| f64::from_ne_bytes(number.try_into().expect("eight bytes")))
        .collect();
    assert_eq!(numbers.len(), 2 * GAPS, "the child hung or failed");
    std::array::from_fn(|nth| (numbers[2 * nth], numbers[2 * nth + 1]))
}

fn gaps_of_this_process() -> [Gap; GAPS] {
    let mut watch = Watch::new(RATE);
    // The first is what is left of the gap under way.
    let mut gaps = [(0.0, 0.0); GAPS + 1];
    let mut found = 0;
    while found <= GAPS {
        watch.row(|gap| {
            if let Some(place) = gaps.get_mut(found) {
                *place = gap;
            }
            found += 1;
        });
    }
    std::array::from_fn(|nth| gaps[nth + 1])
}

//! A process near its limit on address space is not ended by a profile: it is refused one, with the reason, or gets it.
//! When there is room again, the profile has all that was allocated meanwhile.

mod own_process;

use debug_pprof::{Error, HeapProfile, ProfiledAllocator};
use own_process::{OwnProcess, part};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

/// Nothing else asks for it.
const SIZE: usize = 7_907;

type Capture = fn() -> Result<HeapProfile, Error>;

fn in_use(capture: Capture) -> Result<i64, Error> {
    let profile = capture()?;
    profile.write_text(std::io::sink())?;
    profile.write_pprof(std::io::sink())?;
    let ours = profile
        .records()
        .iter()
        .filter(|record| record.size() == Some(SIZE));
    Ok(ours.map(|record| record.estimate().inuse_objects).sum())
}

/// Limits the address space to `room` above what is in use.
fn limit(room: u64) {
    let mut now = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let in_use = debug_pprof::mem_stats().virtual_bytes.expect("of /proc");
    // SAFETY: `now` is a valid place for the answer.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut now) }, 0);
    now.rlim_cur = in_use.saturating_add(room).min(now.rlim_max);
    // SAFETY: `now` holds a limit.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const now) };
    assert_eq!(set, 0);
}

const NAME: &str = "a_process_short_of_memory_survives_its_profiles";

#[test]
fn a_process_short_of_memory_survives_its_profiles() {
    if part().is_none() {
        let said = OwnProcess::of(NAME, "limited")
            .env("RUST_BACKTRACE", "0")
            .ends_well();
        return print!("{said}");
    }
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(1_000);
    let (mut refused, mut taken) = (0, 0);
    // Without names looked up before: these take the most.
    for room in (0..64).step_by(2) {
        // In turn, by age too, which takes a little more.
        let capture: Capture = match room % 4 {
            0 => HeapProfile::capture,
            _ => HeapProfile::capture_by_age,
        };
        limit(room << 20);
        kept.push(vec![1; SIZE]);
        match in_use(capture) {
            Ok(in_use) => {
                assert_eq!(in_use, kept.len() as i64);
                taken += 1;
            }
            Err(Error::NoMemory) => {
                refused += 1;
                // Totals need none.
                assert!(debug_pprof::mem_stats().heap.inuse_objects >= kept.len() as i64);
            }
            Err(error) => panic!("{error}"),
        }
        println!("SAY {room} MiB: {refused} refused, {taken} taken");
    }
    assert!(refused > 0 && taken > 0, "{refused} refused, {taken} taken");
    limit(u64::MAX / 2);
    for capture in [HeapProfile::capture, HeapProfile::capture_by_age] {
        assert_eq!(in_use(capture).expect("there is room"), kept.len() as i64);
    }
}

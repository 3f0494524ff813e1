//! Debug information that is not what it should be ends in fewer names.

use std::fs;
use std::time::{Duration, Instant};

use super::super::effort::Effort;
use super::super::image::Image;
use super::super::module;
use super::super::ranges::Wanted;
use super::builds::{C, C_BUILDS, build};

/// Looks up addresses all over the code. Panics, endless loops and unbounded memory are what the tests are about.
fn look_up(data: &[u8], effort: &mut Effort) -> usize {
    let Some(image) = Image::parse(data) else {
        return 0;
    };
    let wanted: Vec<Wanted> = (0x1000..0x1400)
        .step_by(8)
        .enumerate()
        .map(|(nth, address)| Wanted { address, nth })
        .collect();
    let mut names = 0;
    module::look_up(&image, &wanted, u64::MAX, effort, &mut |_, found, _| {
        names += found.len();
    });
    names
}

/// Numerical Recipes' generator: any will do.
fn next(random: &mut u64) -> usize {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*random >> 33) as usize
}

#[test]
fn damaged_files_end_in_fewer_names() {
    for (name, flags) in C_BUILDS {
        let flags = [&["-shared", "-fPIC"], flags].concat();
        let file = build(&format!("damaged-{name}"), "cc", "c", C, &flags);
        let whole = fs::read(file).unwrap();
        let names = look_up(&whole, &mut Effort::new());
        assert!(names > 0, "{name}");
        let mut random = 1;
        for round in 0..400 {
            let mut data = whole.clone();
            // A few bytes anywhere; debug information is most of it.
            for _ in 0..1 + round % 16 {
                let at = next(&mut random) % data.len();
                data[at] = next(&mut random) as u8;
            }
            look_up(&data, &mut Effort::new());
            data.truncate(next(&mut random) % data.len());
            look_up(&data, &mut Effort::new());
        }
    }
}

/// What would take longer ends, and names come from the symbol table.
#[test]
fn the_search_ends_when_its_time_is_over() {
    let (name, flags) = C_BUILDS[0];
    let flags = [&["-shared", "-fPIC"], flags].concat();
    let whole = fs::read(build(&format!("late-{name}"), "cc", "c", C, &flags)).unwrap();
    let mut over = Effort::until(Instant::now());
    assert!(!over.step());
    let (short, full) = (
        look_up(&whole, &mut over),
        look_up(&whole, &mut Effort::new()),
    );
    assert!(0 < short && short < full, "{short} {full}");
    let mut effort = Effort::until(Instant::now() + Duration::from_secs(3600));
    assert!((0..1_000_000).all(|_| effort.step()));
}

use super::*;
use crate::record::SplitMix;

const BUCKETS: usize = 50;

fn addresses() -> Vec<usize> {
    (1..=BUCKETS).map(|nth| nth * 296).collect()
}

fn encoded(counts: &[Counts]) -> PageVec<u8> {
    let mut log = PageVec::new();
    let there = counts.iter().filter(|counts| counts.allocs > 0);
    write(&mut log, there.copied()).expect("memory");
    log
}

fn moment(start: Instant, tick: u64) -> Moment {
    Moment {
        taken: start + Duration::from_secs(60 * tick),
        tick,
        folded: Default::default(),
        rate: 1,
    }
}

fn all(ring: &Ring, addresses: &[usize]) -> Vec<(u64, Vec<Counts>)> {
    let mut read = Vec::new();
    assert!(ring.for_each(addresses, |moment, counts| {
        read.push((moment.tick, counts.to_vec()));
        true
    }));
    read.reverse();
    read
}

/// Which ticks are kept `tick` after the beginning, said in the plainest way: all of the last hour, and before it the first
/// that there was of each ten.
fn expected(ticks: &[u64], now: u64) -> Vec<u64> {
    let mut kept: Vec<u64> = Vec::new();
    for tick in ticks {
        let age = now - tick;
        let is_first = kept
            .last()
            .is_none_or(|last| last / COARSE_STEP != tick / COARSE_STEP);
        if age <= FINE || (age <= OLDEST && is_first) {
            kept.push(*tick);
        }
    }
    kept
}

/// Random counts for two days, with gaps, against a ring that keeps everything.
#[test]
fn snapshots_are_what_they_were_however_many_went() {
    let mut random = SplitMix::new(0x0051_2ea6);
    let (start, addresses) = (Instant::now(), addresses());
    let mut ring = Ring::new();
    let mut model: Vec<(u64, Vec<Counts>)> = Vec::new();
    let mut counts: Vec<Counts> = addresses
        .iter()
        .map(|bucket| Counts {
            bucket: *bucket,
            ..Counts::default()
        })
        .collect();
    let mut tick = 0;
    for _ in 0..2 * 24 * 60 {
        for counts in &mut counts {
            // A third of the buckets come late, some never do anything.
            if random.next().is_multiple_of(5) && (tick > 100 || counts.bucket % 3 > 0) {
                counts.allocs += random.next() % 300;
                counts.inuse = random.next() % (counts.allocs + 1);
            }
        }
        assert!(ring.push(moment(start, tick), encoded(&counts), usize::MAX));
        model.push((tick, counts.clone()));
        let ticks: Vec<u64> = model.iter().map(|(tick, _)| *tick).collect();
        let kept = expected(&ticks, tick);
        model.retain(|(tick, _)| kept.contains(tick));
        if tick % 97 == 0 || tick < 130 {
            assert_eq!(all(&ring, &addresses), model, "{tick}");
        }
        tick += 1 + u64::from(random.next().is_multiple_of(50)) * (random.next() % 30);
    }
    let count = model.len() as u64;
    assert!(count <= FINE + OLDEST / COARSE_STEP + 1, "{count}");
    assert!(ring.resident() < 2 * ring.bytes() + 128 * 1024);
    // Of a bucket that nobody asks for nothing is said.
    let half = &addresses[..BUCKETS / 2];
    for ((_, some), (_, whole)) in all(&ring, half).iter().zip(&model) {
        assert_eq!(some[..], whole[..BUCKETS / 2]);
    }
}

#[test]
fn over_its_bound_the_oldest_go() {
    let (start, addresses) = (Instant::now(), addresses());
    let mut ring = Ring::new();
    let counts = |allocs| -> Vec<Counts> {
        let counts = addresses.iter().map(|bucket| Counts {
            bucket: *bucket,
            allocs,
            inuse: 1,
        });
        counts.collect()
    };
    for tick in 0..200 {
        assert!(ring.push(moment(start, tick), encoded(&counts(tick + 1)), 2048));
        assert!(ring.bytes() <= 2048);
    }
    assert!(ring.is_cut());
    let read = all(&ring, &addresses);
    assert!(read.len() > 5 && read.len() < 20, "{}", read.len());
    for (nth, (tick, read)) in read.iter().rev().enumerate() {
        assert_eq!((*tick, read), (199 - nth as u64, &counts(200 - nth as u64)));
    }
    // A bound that not even one fits.
    assert!(ring.push(moment(start, 200), encoded(&counts(1)), 3));
    assert_eq!((ring.bytes(), ring.moments().count()), (0, 0));
    assert!(ring.push(moment(start, 201), encoded(&counts(1)), 2048));
    assert_eq!(all(&ring, &addresses), [(201, counts(1))]);
}

#[test]
fn what_does_nothing_costs_nothing() {
    let (start, addresses) = (Instant::now(), addresses());
    let mut ring = Ring::new();
    let counts: Vec<Counts> = addresses
        .iter()
        .map(|bucket| Counts {
            bucket: *bucket,
            allocs: 9,
            inuse: 1,
        })
        .collect();
    for tick in 0..1000 {
        assert!(ring.push(moment(start, tick), encoded(&counts), usize::MAX));
    }
    assert_eq!(ring.bytes(), encoded(&counts).as_slice().len());
}

#[test]
fn the_nearest_is_at_least_as_old_as_asked_or_the_oldest() {
    let start = Instant::now();
    let mut ring = Ring::new();
    let now = start + Duration::from_secs(60 * 30 + 20);
    assert!(ring.at_least(Duration::ZERO, now).is_none());
    for tick in 0..=30 {
        assert!(ring.push(moment(start, tick), PageVec::new(), usize::MAX));
    }
    let at = |seconds| {
        ring.at_least(Duration::from_secs(seconds), now)
            .map(|moment| moment.tick)
    };
    assert_eq!(at(0), Some(30));
    assert_eq!(at(20), Some(30));
    assert_eq!(at(21), Some(29));
    assert_eq!(at(10 * 60), Some(20));
    assert_eq!(at(30 * 60 + 20), Some(0));
    assert_eq!(at(3600), Some(0), "the oldest there is");
}

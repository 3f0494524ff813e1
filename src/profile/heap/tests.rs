use std::io::Read;

use prost::Message;

use super::*;
use crate::profile::proto;
use crate::record::FoldedTotals;

fn profile(records: &[HeapRecord]) -> HeapProfile {
    HeapProfile {
        records: PageVec::collect(records.iter().copied()),
        rate: 1,
        time: SystemTime::now(),
        taken: Instant::now(),
        duration: None,
        ages: Ages::default(),
        rest: None,
        shape: Shape::Heap,
        notes: Vec::new(),
    }
}

fn totals(count: u64) -> FoldedTotals {
    FoldedTotals {
        samples: count,
        sampled_bytes: count,
        objects: count,
        bytes: count,
    }
}

fn values(of: i64) -> HeapValues {
    HeapValues {
        alloc_objects: of,
        alloc_space: of,
        inuse_objects: of,
        inuse_space: of,
    }
}

/// The values of all samples, as a reader of the file has them.
fn read_back(profile: &HeapProfile) -> Vec<Vec<i64>> {
    let mut gzip = Vec::new();
    profile.write_pprof(&mut gzip).unwrap();
    let mut message = Vec::new();
    flate2::read::GzDecoder::new(gzip.as_slice())
        .read_to_end(&mut message)
        .unwrap();
    let read = proto::Profile::decode(message.as_slice()).unwrap();
    read.sample.into_iter().map(|sample| sample.value).collect()
}

fn text(profile: &HeapProfile) -> String {
    let mut text = Vec::new();
    profile.write_text(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn counters_near_their_limits_are_written_and_read_back() {
    for (count, expected) in [
        (i64::MAX as u64 - 1, i64::MAX - 1),
        (i64::MAX as u64, i64::MAX),
        (i64::MAX as u64 + 1, i64::MAX),
        (u64::MAX, i64::MAX),
    ] {
        let record = HeapRecord::of_totals(None, (totals(count), totals(0)));
        assert_eq!(record.estimate(), values(expected));
        let one = profile(&[record]);
        assert_eq!(read_back(&one), [vec![expected; 4]]);
        assert!(text(&one).contains(&format!("{expected}: {expected} [")));
        // Two of them: sums stay where they are, in the file each is itself.
        let two = profile(&[record, record]);
        assert_eq!(two.total(), values(expected.saturating_mul(2)));
        assert_eq!(read_back(&two).len(), 2);
        assert!(text(&two).contains(&expected.saturating_mul(2).to_string()));
        assert!(two.inuse_space_error() >= 0.0);
        // And none, when compared with itself.
        assert_eq!(one.since(&one).total(), values(0));
    }
}

#[test]
fn more_frees_than_allocations_are_none_in_use() {
    let record = HeapRecord::of_totals(None, (totals(5), totals(u64::MAX)));
    assert_eq!(
        record.estimate(),
        HeapValues {
            inuse_objects: 0,
            inuse_space: 0,
            ..values(5)
        }
    );
}

#[test]
fn differences_of_extremes_saturate() {
    let (most, least) = (values(i64::MAX), values(i64::MIN));
    assert_eq!(most - least, most);
    assert_eq!(least - most, least);
    assert_eq!(most + most, most);
    let sum = HeapRecord::sum(&[&HeapRecord::of_totals(None, (totals(u64::MAX), totals(0))); 3]);
    assert_eq!(sum.estimate(), most);
}

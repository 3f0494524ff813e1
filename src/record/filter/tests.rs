use super::*;

fn prepared() -> Filter {
    let filter = Filter::new();
    filter.prepare().unwrap();
    filter
}

fn remove(filter: &Filter, address: usize) {
    filter.remove(filter.readable_level(), address);
}

#[test]
fn a_filter_without_records_contains_nothing_and_has_no_memory() {
    let filter = Filter::new();
    let step = if cfg!(miri) { 10_000 } else { 16 };
    assert!(
        (0..1_000_000)
            .step_by(step)
            .all(|address| !filter.may_contain(address))
    );
    assert_eq!((filter.mapped(), filter.readable_level()), (0, Level(0)));
}

#[test]
fn an_added_address_is_contained_until_it_is_removed_as_often() {
    let filter = prepared();
    assert!(!filter.may_contain(0x1000));
    filter.add(0x1000);
    filter.add(0x1000);
    remove(&filter, 0x1000);
    assert!(filter.may_contain(0x1000));
    remove(&filter, 0x1000);
    assert!(!filter.may_contain(0x1000));
}

#[test]
fn a_counter_that_overflowed_never_forgets() {
    let filter = prepared();
    for _ in 0..1000 {
        filter.add(0x1000);
    }
    for _ in 0..999 {
        remove(&filter, 0x1000);
    }
    assert!(filter.may_contain(0x1000));
}

#[test]
fn every_level_holds_the_addresses_it_was_filled_with_and_forgets_them_when_they_go() {
    let filter = prepared();
    let addresses = || (0..1000).map(|nth| 0x7f00_0000_0000_usize + 48 * nth);
    addresses().for_each(|address| filter.add(address));
    for level in 2..=LEVELS {
        filter.grow(addresses());
        assert_eq!(filter.readable_level(), Level(level));
        assert!(addresses().all(|address| filter.may_contain(address)));
    }
    filter.grow(addresses());
    assert_eq!(
        filter.readable_level(),
        Level(LEVELS),
        "there is no further level"
    );
    addresses().for_each(|address| remove(&filter, address));
    assert!(addresses().all(|address| !filter.may_contain(address)));
}

#[test]
fn false_hits_stay_rare_while_the_filter_is_not_crowded() {
    let filter = prepared();
    let mut random = crate::record::random::SplitMix::new(11);
    let mut address = || (random.next() >> 17) as usize & !15;
    let held: Vec<usize> = (0..20_480).map(|_| address()).collect();
    for (nth, address) in held.iter().enumerate() {
        filter.add(*address);
        if filter.is_crowded(nth + 1) {
            filter.grow(held.iter().take(nth + 1).copied());
        }
    }
    let asked = 100_000;
    let hits = (0..asked).filter(|_| filter.may_contain(address())).count();
    assert!(hits < asked / COUNTERS_PER_RECORD, "{hits} of {asked}");
}

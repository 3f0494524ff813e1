//! What the symbolizer finds, what it does not, and what it does with damaged files.

mod builds;
mod damage;
mod oracle;

use std::sync::Arc;

use super::{Depth, Found, look_up};
use crate::profile::mappings::{Mapping, Mappings};
use crate::stack::ReturnAddress;

fn ours(addresses: &[(ReturnAddress, &Arc<Mapping>)], headroom: u64) -> Vec<(Vec<Found>, Depth)> {
    let mut all = vec![(Vec::new(), Depth::DebugInfo); addresses.len()];
    look_up(addresses, headroom, &mut |nth, found, depth| {
        assert!(all[nth].0.is_empty());
        // No other reader says what a function allocates.
        let found = found.into_iter().map(|found| Found {
            said: None,
            ..found
        });
        all[nth] = (found.collect(), depth);
    });
    all
}

/// With little memory left, names come from the symbol table, and say so.
#[test]
fn without_headroom_names_come_from_the_symbol_table() {
    let mappings = Mappings::read();
    let here = ours as *const () as usize;
    let mapping = mappings.find(here).unwrap().1;
    let address = [(ReturnAddress(here + 1), mapping)];
    let [(short, depth)] = &ours(&address, 1 << 20)[..] else {
        panic!("one answer");
    };
    assert_eq!(*depth, Depth::SymbolTable);
    assert!(short[0].function.ends_with("tests::ours"), "{short:?}");
    assert_eq!((short[0].file.as_str(), short[0].line), ("", 0));
    let [(full, depth)] = &ours(&address, u64::MAX)[..] else {
        panic!("one answer");
    };
    assert_eq!(*depth, Depth::DebugInfo);
    assert!(
        full[0].file.ends_with("symbolizer/tests/mod.rs"),
        "{full:?}"
    );
}

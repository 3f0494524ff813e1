//! The text form (`?debug=1`), which the tool parses, scales and names by itself with `/symbol`.

use crate::example_binary::Build;
use crate::leaky_service::{Config, LeakyService};
use crate::top::Top;
use crate::validator::{Expect, Kind};

/// Small enough for many samples, large enough that scaling matters for every leak.
const RATE: u32 = 64 << 10;

#[test]
fn text_gives_the_same_totals_as_proto() {
    let service = LeakyService::start(&Config::new(Build::Debug, RATE, 32));
    service.wait_until_full();
    let (_, profile) = service.profile("heap", Expect::new(Kind::Heap).period(RATE.into()));
    for sample_type in ["inuse_space", "inuse_objects"] {
        for function in ["cache::remember", "previews::keep_slice", "tickers::start"] {
            let index = format!("-sample_index={sample_type}");
            let focus = format!("-focus={function}");
            // The leaks have ended: both forms see the same blocks.
            let proto = Top::of(&[&index, &focus, &service.url("heap")]);
            let text = Top::of(&[&index, &focus, &service.url("heap?debug=1")]);
            let (expected, found) = (proto.row(function).cum, text.row(function).cum);
            assert!(expected > 0, "{proto:#?}");
            // Each sample may lose one to truncation.
            let samples = profile
                .stacks()
                .iter()
                .filter(|stack| stack.has(function))
                .count();
            assert!(
                expected.abs_diff(found) <= samples as u64,
                "{function}: proto {expected}, text {found}\n{text:#?}"
            );
        }
    }
}

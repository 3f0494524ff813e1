//! `-seconds N` on a heap profile: what grew meanwhile.

use std::time::Duration;

use crate::example_binary::Build;
use crate::leaky_service::{Config, LeakyService};
use crate::top::Top;
use crate::validator::{Expect, Kind};

#[test]
fn seconds_shows_the_growth_of_that_time() {
    // A cap that two seconds do not reach, on any machine: the load paces itself.
    let service = LeakyService::start(&Config::new(Build::Debug, 4096, 2000));
    let top = Top::of(&["-seconds", "2", &service.url("heap")]);
    assert_eq!(top.legend("Type"), Some("inuse_space"));
    // `Duration: 2.01s, Total samples = …`; a busy machine may take longer, never shorter.
    let duration = top
        .legend("Duration")
        .and_then(|text| text.split('s').next()?.parse().ok());
    assert!(
        duration.is_some_and(|seconds: f64| seconds >= 2.0),
        "{:#?}",
        top.legend
    );
    for function in ["cache::remember", "previews::keep_slice"] {
        assert!(top.row(function).cum > 0, "{top:#?}");
    }

    let (_, delta) = service.profile("heap?seconds=1", Expect::new(Kind::Heap).delta());
    let duration = Duration::from_nanos(delta.proto.duration_nanos.unsigned_abs());
    assert!(duration >= Duration::from_secs(1), "{duration:?}");
    assert!(delta.through("cache::remember", "inuse_space") > 0);

    // Allocs keeps its default view, which Go's delta loses.
    let top = Top::of(&["-seconds", "1", &service.url("allocs")]);
    assert_eq!(top.legend("Type"), Some("alloc_space"));
}

//! An address that other machines can reach needs a token or an explicit consent.
#![cfg(feature = "http")]

use debug_pprof::Error;
use debug_pprof::http::Server;

#[test]
fn it_is_refused_without_either() {
    for addr in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let refused = debug_pprof::serve(addr);
        assert!(
            matches!(&refused, Err(Error::Exposed { addr: named }) if named == addr),
            "{refused:?}"
        );
        assert!(Server::builder().addr(addr).start().is_err());
    }
    // One exposed address among several is enough.
    let several = [
        "127.0.0.1:0".parse().expect("v4"),
        "0.0.0.0:0".parse().expect("v4"),
    ];
    let refused = Server::builder().addr(&several[..]).start();
    assert!(matches!(refused, Err(Error::Exposed { .. })), "{refused:?}");
}

#[test]
fn a_token_or_consent_is_enough() {
    let with_token = Server::builder()
        .addr("0.0.0.0:0")
        .bearer_token("s3cret")
        .start();
    let addr = with_token.expect("a server").local_addr();
    assert!(addr.is_some_and(|addr| addr.port() != 0));
    let with_consent = Server::builder()
        .addr("0.0.0.0:0")
        .allow_unauthenticated()
        .start();
    with_consent.expect("a server").shutdown();
}

#[test]
fn loopback_needs_neither() {
    for addr in ["127.0.0.1:0", "127.1.2.3:0"] {
        debug_pprof::serve(addr).expect("a server");
    }
}

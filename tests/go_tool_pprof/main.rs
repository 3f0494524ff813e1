//! `go tool pprof` shows on a Rust service what it shows on a Go service.
//!
//! The service is `examples/leaky_service`, whose leaks are known to the byte: with `DEBUG_PPROF_RATE=1` and its leaks
//! complete, every number below is exact. No assertion depends on time.

mod captured;
mod deltas;
mod fetches;
mod runs_compared;
mod text_form;
mod top;
mod views;
mod web_pages;

#[path = "../example_binary/mod.rs"]
mod example_binary;
#[path = "../go_pprof/mod.rs"]
mod go_pprof;
#[path = "../http_client/mod.rs"]
mod http_client;
#[path = "../leaky_service/mod.rs"]
mod leaky_service;

use http_client::validator;

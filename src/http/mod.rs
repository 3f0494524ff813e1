//! Stage three, the wire: Go's `/debug/pprof` routes, and a small server for them.
//!
//! The room knows no counter and no address; it asks the room `profile` and writes down the answer.
//! It has two halves. [`respond`] is the whole endpoint as a function from a plain [`Request`] to a plain
//! [`Response`], for one's own router. [`Server`] puts it on a socket, with deadlines and limits on everything
//! that a client controls.
//!
//! ```text
//!  socket ─▶ accept ─▶ connection ─▶ head ─▶ gate ─▶ routes ─▶ profiles, symbol, index ─▶ Response
//!             one        one thread    who may ask     pure: no socket beyond this point
//!             thread     each
//! ```
#![forbid(unsafe_code)]

mod accept;
mod base64;
mod builder;
mod catalog;
mod connection;
mod cpu;
mod date;
mod deadline;
mod delta;
mod duration;
mod form;
mod gate;
mod head;
mod host;
mod index;
mod labels;
mod limits;
mod listener;
mod metrics;
#[cfg(any(test, fuzzing))]
mod offline;
mod previous;
mod profiles;
mod query;
mod request;
mod response;
mod routes;
mod serve;
mod server;
mod slots;
mod stacks;
mod stream;
mod symbol;
#[cfg(feature = "tiny_http")]
pub mod tiny_http;
mod token;
mod ui;
mod unix_socket;
mod watched;

pub use builder::ServerBuilder;
pub use limits::{
    DEFAULT_ADDR, DEFAULT_HEAD_TIMEOUT, DEFAULT_MAX_CONNECTIONS, DEFAULT_MAX_SECONDS,
    DEFAULT_WRITE_TIMEOUT, MAX_BODY_BYTES, MAX_HEAD_BYTES,
};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use offline::status as status_offline;
pub use request::Request;
pub use response::Response;
pub use routes::respond;
pub use serve::{serve, serve_from_env};
pub use server::Server;

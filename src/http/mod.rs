//! the wire

//! Leak 2: a small slice that keeps a large buffer alive.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// One decoded picture.
pub(crate) const PICTURE_BYTES: usize = 36 << 10;

/// What the service wants of it.
const PREVIEW_BYTES: usize = 10;

#[derive(Default)]
pub(crate) struct Previews {
    kept: Mutex<Vec<Bytes>>,
}

/// Decodes a picture and keeps its first ten bytes, which share the picture's buffer.
/// The cure is to copy them: `Bytes::copy_from_slice(&picture[..PREVIEW_BYTES])`.
#[inline(never)]
pub(crate) fn keep_slice(previews: &Previews, id: u64) {
    let colour = id.to_le_bytes()[0] | 1;
    let picture = Bytes::from(vec![colour; PICTURE_BYTES]);
    let preview = picture.slice(..PREVIEW_BYTES);
    previews
        .kept
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(preview);
}

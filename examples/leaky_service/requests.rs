//! Healthy churn: a lot is allocated, nothing stays. Large in alloc_space, absent from inuse_space.

/// A finished page.
pub(crate) const PAGE_BYTES: usize = 64 << 10;

/// The draft has four times the page's size.
const DRAFT_FACTOR: usize = 4;

const PARAGRAPH: &str = "All work and no free makes the heap a full place.    \n";

/// Writes a long draft and shortens it to a page.
#[inline(never)]
pub(crate) fn render(id: u64) -> String {
    let mut draft = String::with_capacity(DRAFT_FACTOR * PAGE_BYTES);
    draft.push_str(&format!("page {id}\n"));
    while draft.len() + PARAGRAPH.len() <= draft.capacity() {
        draft.push_str(PARAGRAPH);
    }
    let mut page = String::with_capacity(PAGE_BYTES);
    page.push_str(&draft[..PAGE_BYTES]);
    page
}

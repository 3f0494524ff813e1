//! Outside malloc: brings the tables up to what is loaded. Here and in `build.rs` the room allocates.

use core::ptr;
use core::sync::atomic::Ordering;

use super::modules::{KeptTable, Loaded, MODULES};
use super::objects::{Object, Objects, Reader};
use super::{Delta, State, build, image, memory, self_test};
use crate::stack::loader_lock::Changes;
use crate::stack::mix;
use crate::stack::module::ModuleMark;

/// Bytes of tables that are kept at most, for a program that loads ever new libraries: more than 500 MiB of text. What
/// comes later is walked by `backtrace`.
const MAX_BYTES: usize = 64 << 20;

impl Delta {
    /// Brings the tables up to what is loaded now. Outside malloc, on a thread whose time nobody waits for: 1 ms for
    /// each MiB of new text, 40 in a build without optimization. Does nothing while another thread is at it.
    pub(crate) fn refresh(&self) {
        // Acquire pairs with the Release below: what the last one wrote is seen.
        let taken = self
            .refreshing
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            return;
        }
        // Another thread may have done it since this one was sent.
        if self.is_outdated() {
            self.refresh_alone();
        }
        self.refreshing.store(0, Ordering::Release);
    }

    fn refresh_alone(&self) {
        let (mut objects, mut loaded) = self.read();
        // What has come or gone meanwhile may have taken the place of what was read.
        for _ in 0..3 {
            if objects.changes == Changes::read() {
                break;
            }
            (objects, loaded) = self.read();
        }
        if objects.changes != Changes::read() {
            loaded.retain(|module| module.mark == 0);
        }
        loaded.sort_by_key(|module| module.start);
        self.modules.write(&loaded, || self.recent.clear());
        self.added.store(objects.changes.added, Ordering::Relaxed);
        self.removed
            .store(objects.changes.removed, Ordering::Relaxed);
        if self.state.load(Ordering::Relaxed) == State::Untested as u8 {
            let state = if memory::can_be_asked_about() && self_test::passes(self) {
                State::Good
            } else {
                State::Failed
            };
            self.state.store(state as u8, Ordering::Relaxed);
        }
    }

    /// What is loaded now, and tables of it.
    fn read(&self) -> (Objects, Vec<Loaded>) {
        let (objects, reader) = (Objects::read(), Reader::new());
        // The program and what it was linked with come first: of too many, those have a table.
        let list = objects.list.as_slice().iter().take(MODULES);
        let loaded = list
            .filter_map(|object| self.load(object, reader.unwind(object).as_slice()))
            .collect();
        (objects, loaded)
    }

    /// The module of an object, with its table: one that was made from the same data, or a new one.
    fn load(&self, object: &Object, unwind: &[u8]) -> Option<Loaded> {
        let identity = identity(object, unwind);
        let newest = self.kept.load(Ordering::Relaxed).cast_const();
        // SAFETY: null or a table that is kept for good.
        let follow = |table: *const KeptTable| unsafe { table.as_ref() };
        let mut known = core::iter::successors(follow(newest), |table| follow(table.next));
        let table = match known.find(|table| table.identity == identity) {
            Some(table) => table,
            None => self.keep(identity, newest, object, unwind)?,
        };
        Some(Loaded {
            start: object.bias.wrapping_add(object.text),
            end: object.bias.wrapping_add(object.text_end),
            table,
            // Where nothing can be looked up in a walk, nothing can be told apart either.
            mark: match image::can_be_found() {
                true => object.mark.map_or(0, ModuleMark::bits),
                false => 0,
            },
        })
    }

    fn keep(
        &self,
        identity: u64,
        next: *const KeptTable,
        object: &Object,
        unwind: &[u8],
    ) -> Option<&'static KeptTable> {
        if self.bytes() > MAX_BYTES {
            return None;
        }
        let built = build::build(object, unwind)?;
        // Never freed: a walk may be reading it at any time.
        let table: &'static KeptTable = Box::leak(Box::new(KeptTable {
            identity,
            next,
            blocks: built.blocks.leak(),
            rows: built.rows.leak(),
            wide: built.wide.leak(),
        }));
        self.bytes.fetch_add(table.bytes(), Ordering::Relaxed);
        self.kept
            .store(ptr::from_ref(table).cast_mut(), Ordering::Relaxed);
        Some(table)
    }
}

/// A number that differs for objects whose tables differ: of their unwind data, and of where it lies from the text.
fn identity(object: &Object, unwind: &[u8]) -> u64 {
    let head = [
        object.text as u64,
        object.text_end as u64,
        object.eh_frame as u64,
        unwind.len() as u64,
    ];
    let words = unwind.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        u64::from_ne_bytes(word)
    });
    head.into_iter().chain(words).fold(0, mix)
}

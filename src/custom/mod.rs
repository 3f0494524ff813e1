//! Profiles of one's own: what is alive, by the stack that made it.
//!
//! ```text
//! Profile (a name) ─▶ registry: Registered (its number) ─▶ record::enter ─▶ counts by (number, stack, labels)
//!                                      ▲                                            │
//!                           GET /debug/pprof/name ◀─ StackProfile ◀─────────────────┘
//! ```
//!
//! Outside malloc. Nothing here locks, so a fork child finds all of it whole.

mod name;
mod registry;

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicPtr, Ordering};

pub(crate) use self::registry::Registered;
#[cfg(feature = "http")]
pub(crate) use self::registry::{find, registered};

use self::registry::register;
use crate::error::Error;
use crate::profile::{self, Pieces, ProfileFormat};
use crate::record::{self, Bucket};
use crate::stack::OwnFrame;

/// A profile of one's own, Go's `pprof.NewProfile`: what of some kind is alive, by the stack that made it. Connections,
/// permits, open files, sessions: whatever is to be given back and may be forgotten is found as memory is.
///
/// ```
/// use debug_pprof::{Profile, ProfileEntry};
///
/// static CONNECTIONS: Profile = Profile::new("connections");
///
/// struct Connection {
///     // The socket, and:
///     _alive: ProfileEntry,
/// }
///
/// fn connect() -> Connection {
///     Connection { _alive: CONNECTIONS.add() }
/// }
///
/// let open = [connect(), connect()];
/// assert_eq!(CONNECTIONS.count(), 2);
/// drop(open);
/// assert_eq!(CONNECTIONS.count(), 0);
/// ```
///
/// From the first [`add`](Self::add) on it is served as `/debug/pprof/connections`, in pprof's format and, with `debug=1`, as
/// text, and listed on the index page. Each entry has the [`labels`](crate::labels) that were in force. Profiles of one name are one profile, wherever in the program
/// they are.
///
/// A name is 1 to 64 letters, digits, `_`, `-`, `.` and `/` of ASCII, and none that is served already: `myservice/connections` is
/// one too. Of a name that is none, or beyond 64 profiles, nothing is counted or served, and stderr says so once;
/// [`register`](Self::register) returns it.
pub struct Profile {
    name: &'static str,
    /// Null until it is asked for; `REFUSED` if there is none.
    registered: AtomicPtr<Registered>,
}

/// Stands for a profile that could not be registered; never dereferenced.
const REFUSED: *mut Registered = std::ptr::without_provenance_mut(align_of::<Registered>());

impl Profile {
    /// A profile of this name, for a `static`.
    pub const fn new(name: &'static str) -> Profile {
        Profile {
            name,
            registered: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// The profile of a name that is made while the program runs. It is there for good, so names are for a few kinds of
    /// things and not for each thing.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that cannot be one, and beyond 64 profiles.
    pub fn named(name: &str) -> Result<&'static Profile, Error> {
        register(name).map(|registered| &registered.profile)
    }

    /// Serves it from now on, though nothing has been added yet.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that cannot be one, and beyond 64 profiles.
    pub fn register(&self) -> Result<(), Error> {
        let registered = register(self.name)?;
        self.registered.store(
            std::ptr::from_ref(registered).cast_mut(),
            // Pairs with the Acquire in `registered`.
            Ordering::Release,
        );
        Ok(())
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Counts one thing more, made by the caller, until the entry is dropped: keep it in the thing. It may be dropped on any
    /// thread; one that is forgotten counts for ever.
    ///
    /// Takes about 0.1 µs under 10 frames and 0.35 µs under 30, and dropping the entry one addition; nothing is allocated and no lock is taken.
    /// What is kept is a count for each stack: see [`Limits::custom_stacks`](crate::Limits::custom_stacks), beyond which things
    /// are counted without their stack. Not for signal handlers.
    // Not inlined, with what it calls: the stack is cut at this function's frame.
    #[inline(never)]
    pub fn add(&self) -> ProfileEntry {
        let marker = 0;
        ProfileEntry(match self.registered() {
            None => Counted::Nowhere,
            Some(registered) => match record::enter(registered.number, OwnFrame::of(&marker)) {
                Some(entered) => Counted::ByStack(entered),
                None => {
                    registered.count_folded();
                    Counted::Folded(registered)
                }
            },
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.registered().map_or(0, Registered::count)
    }

    /// Writes it as gzipped pprof protobuf, with the sample type `NAME/count`.
    ///
    /// # Errors
    /// [`Error::Write`] if `out` fails.
    pub fn write_pprof(&self, out: impl Write) -> Result<(), Error> {
        write(&self.stacks().to_form(ProfileFormat::Pprof, true), out)
    }

    /// Writes it as Go's `debug=1` text: how many there are, and the stacks with the most first.
    ///
    /// # Errors
    /// [`Error::Write`] if `out` fails.
    pub fn write_text(&self, out: impl Write) -> Result<(), Error> {
        write(&self.stacks().to_text(), out)
    }

    fn stacks(&self) -> profile::StackProfile {
        match self.registered() {
            Some(registered) => registered.stacks(),
            None => profile::StackProfile::count(self.name),
        }
    }

    fn registered(&self) -> Option<&'static Registered> {
        // Acquire pairs with the Release of the stores: who sees the pointer sees what it points at.
        let known = self.registered.load(Ordering::Acquire);
        if known.is_null() {
            return self.register_slow();
        }
        if known == REFUSED {
            return None;
        }
        // SAFETY: neither null nor `REFUSED`, so stored from a reference to what is never freed.
        Some(unsafe { &*known })
    }

    #[cold]
    #[inline(never)]
    fn register_slow(&self) -> Option<&'static Registered> {
        match register(self.name) {
            Ok(registered) => {
                let known = std::ptr::from_ref(registered).cast_mut();
                self.registered.store(known, Ordering::Release);
                Some(registered)
            }
            Err(error) => {
                if self.registered.swap(REFUSED, Ordering::AcqRel) != REFUSED {
                    profile::without_sampling(|| {
                        // Not `eprintln!`, which panics if stderr is a closed pipe.
                        let _ = writeln!(std::io::stderr(), "debug-pprof: {error}");
                    });
                }
                None
            }
        }
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Profile").field(&self.name).finish()
    }
}

fn write(parts: &Pieces, mut out: impl Write) -> Result<(), Error> {
    parts
        .iter()
        .try_for_each(|part| out.write_all(part))
        .map_err(Error::Write)
}

/// One thing that is counted in a [`Profile`], until this is dropped.
#[derive(Debug)]
#[must_use = "it counts until it is dropped: keep it in what it stands for"]
pub struct ProfileEntry(Counted);

#[derive(Debug)]
enum Counted {
    ByStack(&'static Bucket),
    /// Without its stack.
    Folded(&'static Registered),
    Nowhere,
}

impl Drop for ProfileEntry {
    fn drop(&mut self) {
        match self.0 {
            Counted::ByStack(entered) => record::exit(entered),
            Counted::Folded(registered) => registered.uncount_folded(),
            Counted::Nowhere => {}
        }
    }
}

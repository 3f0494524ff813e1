//! The profiles that there are, by name.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::Profile;
use super::name::check;
use crate::error::Error;
use crate::labels;
use crate::profile::{StackProfile, without_sampling};
use crate::record;

/// Profiles in one program, one for a kind of things. Each is a kilobyte's fraction, and a look for a name goes through all.
const MOST: usize = 64;

/// In the order of their numbers, null behind the last. Each is set once, to what is never freed.
static PROFILES: [AtomicPtr<Registered>; MOST] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; MOST];

/// A profile that is served.
#[derive(Debug)]
pub(crate) struct Registered {
    /// What its entries are counted under.
    pub(super) number: usize,
    /// Those without their stack.
    folded: AtomicUsize,
    /// For those who ask by name.
    pub(super) profile: Profile,
}

/// All that are served, in the order in which they came.
pub(crate) fn registered() -> impl Iterator<Item = &'static Registered> {
    // Acquire pairs with the Release in `register`.
    let all = PROFILES.iter().map(|slot| slot.load(Ordering::Acquire));
    // SAFETY: null, or what `register` has leaked.
    all.map_while(|registered| unsafe { registered.as_ref() })
}

/// The profile of this name, if there is one.
pub(crate) fn find(name: &str) -> Option<&'static Registered> {
    registered().find(|registered| registered.name() == name)
}

/// The profile of this name, made if there is none.
pub(super) fn register(name: &str) -> Result<&'static Registered, Error> {
    check(name)?;
    if let Some(known) = find(name) {
        return Ok(known);
    }
    without_sampling(|| {
        for (number, slot) in PROFILES.iter().enumerate() {
            let mut now = slot.load(Ordering::Acquire);
            if now.is_null() {
                let fresh = Box::into_raw(Box::new(Registered {
                    number,
                    folded: AtomicUsize::new(0),
                    profile: Profile::new(String::from(name).leak()),
                }));
                match slot.compare_exchange(
                    std::ptr::null_mut(),
                    fresh,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                ) {
                    Ok(_) => now = fresh,
                    // Another thread was first, with this name or another's. What was made stays, once in a program's life.
                    Err(first) => now = first,
                }
            }
            // SAFETY: not null, and never freed: see `PROFILES`.
            if let Some(known) = unsafe { now.as_ref() }
                && known.name() == name
            {
                return Ok(known);
            }
        }
        Err(Error::config(
            &format!("profile {name:?}"),
            format!(
                "there are {MOST} profiles already, which is the most; use one for a kind of things, not for each"
            ),
        ))
    })
}

impl Registered {
    pub(crate) fn name(&self) -> &'static str {
        self.profile.name
    }

    pub(super) fn count_folded(&self) {
        self.folded.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn uncount_folded(&self) {
        self.folded.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many entries there are.
    pub(crate) fn count(&self) -> usize {
        let alive = |bucket: &record::Bucket| {
            let (entered, ended) = bucket.counts();
            entered.saturating_sub(ended) as usize
        };
        let by_stack: usize = record::entered(self.number).map(alive).sum();
        by_stack + self.folded.load(Ordering::Relaxed)
    }

    /// The entries by stack and labels.
    pub(crate) fn stacks(&self) -> StackProfile {
        without_sampling(|| {
            let mut profile = StackProfile::count(self.name());
            for bucket in record::entered(self.number) {
                let (entered, ended) = bucket.counts();
                let alive = i64::try_from(entered.saturating_sub(ended)).unwrap_or(i64::MAX);
                if alive > 0 {
                    let labels: Vec<(&str, &str)> = labels::of(bucket.labels()).collect();
                    profile.add(bucket.frames(), bucket.is_truncated(), [alive, 0], &labels);
                }
            }
            let folded = self.folded.load(Ordering::Relaxed);
            if folded > 0 {
                profile.add(&[], false, [folded as i64, 0], &[]);
                profile.note(format!(
                    "{folded} of the entries are without their stack: the limit on stacks, Limits::custom_stacks"
                ));
            }
            profile
        })
    }
}

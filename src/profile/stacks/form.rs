//! A stack profile in the forms that tools read.

use super::{Entry, StackProfile};
use crate::profile::all_mappings;
use crate::profile::encoder::Encoder;
use crate::profile::format::ProfileFormat;
use crate::profile::frames::{Frames, Pseudo};
use crate::profile::pieces::Pieces;
use crate::profile::pprof::{nanos, nanos_since_epoch};
use crate::profile::proto;
use crate::profile::sites::Site;
use crate::profile::tables::{Form, Tables};
use crate::record::{self, Suspended};

impl StackProfile {
    /// In whichever form. Without names, which is for pprof alone, unless `symbolize`.
    pub(crate) fn to_form(&self, format: ProfileFormat, symbolize: bool) -> Pieces {
        let _own = Suspended::new();
        let limits = record::limits();
        let mut entries = self.ranked();
        let mut folded = Fold {
            entries: 0,
            values: self.lost,
        };
        if entries.len() > limits.profile_samples {
            folded.fold_from(&mut entries, limits.profile_samples.saturating_sub(1));
        }
        let mut mappings = all_mappings();
        mappings.forget_unused(|mappings| {
            let sites = self.sites(&entries, mappings);
            sites.map(|site| site.mapping).collect()
        });
        let frames = self.frames(&entries, &mappings, symbolize);
        let form = match symbolize {
            true => Form::Symbolized(&frames),
            false => Form::Raw,
        };
        loop {
            // Without entries it is as small as it can be.
            let limit = match entries.len() {
                0 => usize::MAX,
                _ => limits.profile_bytes,
            };
            let tables = Tables::new(&mappings, form, Encoder::new(limit, format));
            match self.build(&mut entries, &mut folded, tables, &frames) {
                Some(gzip) => return gzip,
                // The tenth is for what was written behind the entries. Always fewer, so that trying again ends.
                None => {
                    let fewer = entries.len() * 9 / 10;
                    folded.fold_from(&mut entries, fewer);
                }
            }
        }
    }

    /// Folds the entries that there is no room for. None if what is written behind them went over the limit.
    fn build(
        &self,
        entries: &mut Vec<Entry>,
        folded: &mut Fold,
        mut tables: Tables<'_>,
        frames: &Frames,
    ) -> Option<Pieces> {
        let sample_types = self.sample_types.iter();
        let sample_type = sample_types
            .map(|(name, unit)| tables.value_type((name, unit)))
            .collect();
        let (name, unit) = &self.period_type;
        let period_type = Some(tables.value_type((name, unit)));
        let mut written = 0;
        for entry in entries.iter() {
            if tables.is_nearly_full() {
                break;
            }
            written += 1;
            let mut location_id: Vec<u64> =
                Site::of_stack(self.frames_of(entry), tables.mappings())
                    .map(|site| tables.location(site))
                    .collect();
            if location_id.is_empty() {
                location_id.push(tables.pseudo(Pseudo::NoStack));
            }
            if entry.is_truncated {
                location_id.push(tables.pseudo(Pseudo::StackTruncated));
            }
            let label = self
                .labels_of(entry)
                .map(|(key, value)| proto::Label {
                    key: tables.string(key),
                    str: tables.string(value),
                    num: 0,
                    num_unit: 0,
                })
                .collect();
            tables.add_sample(self.sample(location_id, entry.values, label));
        }
        if written < entries.len() {
            folded.fold_from(entries, written);
        }
        if folded.values != [0; 2] {
            let location = tables.pseudo(Pseudo::Truncated);
            tables.add_sample(self.sample(vec![location], folded.values, Vec::new()));
        }
        let comment = self
            .comments(folded, frames)
            .iter()
            .map(|comment| tables.string(comment))
            .collect();
        let rest = proto::Profile {
            sample_type,
            period_type,
            period: self.period,
            time_nanos: nanos_since_epoch(self.time),
            duration_nanos: self.duration.map_or(0, nanos),
            comment,
            ..Default::default()
        };
        tables.finish(rest)
    }

    fn sample(
        &self,
        location_id: Vec<u64>,
        values: [i64; 2],
        label: Vec<proto::Label>,
    ) -> proto::Sample {
        proto::Sample {
            location_id,
            value: values.into_iter().take(self.sample_types.len()).collect(),
            label,
        }
    }

    fn comments(&self, folded: &Fold, frames: &Frames) -> Vec<String> {
        let mut comments = self.notes.clone();
        if folded.entries > 0 {
            comments.push(format!(
                "{} entries are folded into [truncated]: the profile's size limit; totals are kept",
                folded.entries
            ));
        }
        comments.extend(frames.resolved.loss());
        comments
    }
}

/// Entries that are not written one by one.
#[derive(Debug)]
struct Fold {
    entries: usize,
    values: [i64; 2],
}

impl Fold {
    /// Leaves the first `count`.
    fn fold_from(&mut self, entries: &mut Vec<Entry>, count: usize) {
        for entry in entries.drain(count.min(entries.len())..) {
            self.entries += 1;
            for (sum, value) in self.values.iter_mut().zip(entry.values) {
                *sum = sum.saturating_add(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::PageVec;
    use crate::profile::interned::Text;

    #[test]
    fn what_is_beyond_the_limit_is_folded_and_totals_are_kept() {
        let entry = |value| Entry {
            first_frame: 0,
            depth: 0,
            is_truncated: false,
            labels: Text::add(&mut PageVec::new(), "").unwrap(),
            values: [value, 2 * value],
        };
        let mut entries: Vec<Entry> = (1..=10).map(entry).collect();
        let mut folded = Fold {
            entries: 0,
            values: [100, 200],
        };
        folded.fold_from(&mut entries, 8);
        folded.fold_from(&mut entries, 7);
        assert_eq!(
            (entries.len(), folded.entries, folded.values),
            (7, 3, [127, 254])
        );
    }
}

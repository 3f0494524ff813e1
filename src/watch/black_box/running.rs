//! A black box at work: it looks, decides, writes, and makes room.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

use super::blocked_signals::BlockedSignals;
use super::directory::Directory;
use super::life::{Life, is_alive};
use super::names::{Cause, Dump, Name, Run};
use super::previous::{Census, Previous, census};
use super::readings::Readings;
use super::requests::Requests;
use super::rotation::victims;
use super::say;
use super::settings::Settings;
use super::threshold::Threshold;
use crate::error::Error;
use crate::profile::{self, RawProfile, Written, mib};
use crate::record;

/// Between two looks, far from every threshold and near one. A service that takes 1 GB/s is 100 MB further at the next.
const FAR: Duration = Duration::from_secs(1);
const NEAR: Duration = Duration::from_millis(100);
/// Of a threshold: from here on it is near.
const IS_NEAR: f64 = 0.5;

/// Looking takes at most one part in so many of the time. Adding up what is in use takes 50 ns a bucket.
const IDLE: u32 = 100;

/// After a dump that could not be written: the first pause, doubled each time, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Stacks in the line that is logged.
const STACKS: usize = 5;

#[derive(Debug)]
pub(super) struct Running {
    pub(super) process: u64,
    settings: Settings,
    directory: Directory,
    life: Life,
    profile: RawProfile,
    readings: Readings,
    watched: Vec<(Cause, Threshold)>,
    previous: Previous,
    /// Dumps so far.
    count: u32,
    next_look: Instant,
    pause: Duration,
}

impl Running {
    /// Everything that is needed is there, and the directory has been written to. What an earlier run left is reported.
    pub(super) fn begin(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        let _held_back = BlockedSignals::new();
        let directory = Directory::open(&settings.dir)?;
        let profile = RawProfile::reserve()?;
        let (census, life) = enter(&directory)?;
        if let Some(unclean) = &census.unclean {
            say(unclean);
        }
        let readings = Readings::open();
        let watched = [
            (Cause::Limit, settings.share_of_limit, 1.1),
            (
                Cause::Resident,
                settings.resident_above.map(|it| it as f64),
                1.1,
            ),
            (Cause::InUse, settings.in_use_above.map(|it| it as f64), 1.1),
            // Averages of ten seconds come and go: twice as bad is news.
            (Cause::Pressure, settings.pressure, 2.0),
        ];
        let watched = watched
            .into_iter()
            .filter_map(|(cause, level, growth)| Some((cause, Threshold::new(level?, growth))));
        Ok(Self {
            process: record::process(),
            watched: watched.collect(),
            settings,
            directory,
            life,
            profile,
            readings,
            previous: census.previous,
            count: 0,
            next_look: Instant::now(),
            pause: FIRST_PAUSE,
        })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn previous(&self) -> &Previous {
        &self.previous
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Where this run's sign of life is.
    pub(super) fn sign_of_life(&self) -> PathBuf {
        let name = Name::Running(self.life.run).to_string();
        self.directory.path().join(name)
    }

    /// It will not go on.
    pub(super) fn end(self) {
        self.directory.remove(&Name::Running(self.life.run));
    }

    /// Does what is asked for and what is due; when to be called again.
    pub(super) fn turn(&mut self, requests: &Requests) -> Instant {
        let _held_back = BlockedSignals::new();
        let (causes, ticket) = requests.take();
        for cause in causes {
            let why = match cause {
                Cause::Signal => format!("signal {}", self.settings.signal.unwrap_or(0)),
                Cause::Panic => "a panic".to_owned(),
                _ => "the process ends".to_owned(),
            };
            // It has been said.
            let _ = self.dump(cause, &why);
        }
        requests.answer(ticket);
        let now = Instant::now();
        if self.next_look <= now {
            let pause = self.look(now);
            let cost = now.elapsed().saturating_mul(IDLE);
            self.next_look = Instant::now() + pause.max(cost.min(LONGEST_PAUSE));
        }
        self.next_look
    }

    /// Dumps if a threshold says so. When to look again.
    fn look(&mut self, now: Instant) -> Duration {
        let mut near = false;
        let mut due: Vec<(Cause, f64)> = Vec::new();
        let mut why = String::new();
        for (cause, threshold) in &mut self.watched {
            let Some((value, text)) = read(&self.readings, *cause, threshold.level) else {
                continue;
            };
            near |= value >= threshold.level * IS_NEAR;
            if threshold.is_due(value, now) {
                if due.is_empty() {
                    why = text;
                }
                due.push((*cause, value));
            }
        }
        if let Some((cause, _)) = due.first() {
            if self.dump(*cause, &why).is_err() {
                let pause = self.pause;
                self.pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                return pause;
            }
            self.pause = FIRST_PAUSE;
            for (cause, threshold) in &mut self.watched {
                if let Some((_, value)) = due.iter().find(|(due, _)| due == cause) {
                    threshold.is_done(*value, now);
                }
            }
        }
        match near {
            true => NEAR,
            false => FAR,
        }
    }

    /// Writes a dump, and says so in one line; an error is said as well.
    pub(super) fn dump(&mut self, cause: Cause, why: &str) -> Result<PathBuf, Error> {
        let _held_back = BlockedSignals::new();
        match self.write_somehow(cause, why) {
            Ok((path, written)) => {
                let stacks = self.profile.describe(&written.largest, STACKS);
                say(&format!(
                    "{why}: heap profile written to {}; {} in use; largest: {}",
                    path.display(),
                    mib(written.total.inuse_space),
                    stacks.join("; ")
                ));
                self.rotate(self.settings.keep, self.settings.max_bytes);
                Ok(path)
            }
            Err(error) => {
                say(&format!("{why}: {error}"));
                Err(error)
            }
        }
    }

    /// Makes what is missing, once.
    fn write_somehow(&mut self, cause: Cause, why: &str) -> Result<(PathBuf, Written), Error> {
        let first = match self.write(cause, why) {
            Ok(written) => return Ok(written),
            Err(error) => error,
        };
        let may_work = match first.raw_os_error() {
            // The directory has been removed.
            Some(libc::ENOENT) => {
                self.directory = Directory::open(self.directory.path())?;
                let (_, life) = enter(&self.directory)?;
                self.life = life;
                super::arm(self);
                true
            }
            Some(libc::ENOSPC | libc::EDQUOT) => self.make_room(),
            _ => false,
        };
        let second = match may_work {
            true => self.write(cause, why),
            false => Err(first),
        };
        second.map_err(|error| unwritable(&self.directory, &error))
    }

    fn write(&mut self, cause: Cause, why: &str) -> io::Result<(PathBuf, Written)> {
        let unfinished = Name::Unfinished(self.life.run);
        let dump = Dump {
            run: self.life.run,
            nth: self.count + 1,
            mib: self.readings.resident().unwrap_or(0) >> 20,
            cause,
        };
        let mut file = match self.directory.create(&unfinished) {
            // Of this run's: it could not be removed before.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.directory.remove(&unfinished);
                self.directory.create(&unfinished)?
            }
            created => created?,
        };
        let comment = format!("dumped by process {} because of: {why}", process::id());
        let written = self
            .profile
            .write(&[&comment], &mut file)
            .and_then(|written| {
                // On disk before it has its name: what has the name is whole.
                file.sync_all()?;
                self.directory.rename(&unfinished, &Name::Dump(dump))?;
                Ok(written)
            });
        match written {
            Ok(written) => {
                self.count += 1;
                Ok((self.directory.path().join(dump.to_string()), written))
            }
            Err(error) => {
                self.directory.remove(&unfinished);
                Err(error)
            }
        }
    }

    /// Removes one dump. False if there is none that may go.
    fn make_room(&mut self) -> bool {
        match self.removable().len() {
            0 | 1 => false,
            more => {
                self.rotate(more - 1, u64::MAX);
                true
            }
        }
    }

    /// Of this run, and of those that are over: others see to their own.
    fn removable(&self) -> Vec<(Dump, u64)> {
        let own = self.life.run;
        let list = self.directory.list().unwrap_or_default();
        let mut known: Vec<(Run, bool)> = vec![(own, false)];
        let mut is_foreign = |run: Run| {
            let found = known.iter().find(|(other, _)| *other == run);
            found.map(|(_, alive)| *alive).unwrap_or_else(|| {
                let alive = is_alive(&self.directory, run, Some(own));
                known.push((run, alive));
                alive
            })
        };
        let dumps = list.into_iter().filter_map(|(name, size)| match name {
            Name::Dump(dump) if !is_foreign(dump.run) => Some((dump, size)),
            _ => None,
        });
        dumps.collect()
    }

    fn rotate(&self, keep: usize, max_bytes: u64) {
        let served = match &self.previous {
            Previous::Dump { dump, .. } => Some(*dump),
            Previous::None(_) => None,
        };
        let dumps = self.removable();
        for dump in victims(&dumps, self.life.run, served, keep, max_bytes) {
            self.directory.remove(&Name::Dump(dump));
        }
    }
}

/// Looks around and begins a run, with nobody else doing so.
fn enter(directory: &Directory) -> Result<(Census, Life), Error> {
    let _alone = directory.alone();
    let found = census(directory).map_err(|error| unwritable(directory, &error))?;
    let life =
        Life::begin(directory, found.next_number).map_err(|error| unwritable(directory, &error))?;
    Ok((found, life))
}

/// The error with what to do about it.
fn unwritable(directory: &Directory, error: &io::Error) -> Error {
    let remedy = match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => "free some, or lower `keep` or `max_bytes`",
        Some(libc::EFBIG) => "raise this process's limit on file sizes (ulimit -f)",
        Some(libc::EMFILE | libc::ENFILE) => "raise the limit on open files (ulimit -n)",
        Some(libc::EROFS) => "name a directory on a file system that is writable",
        Some(libc::ENOENT) => "make the directory again",
        _ => "make it writable for this process's user, or name another",
    };
    Error::DumpDir {
        path: directory.path().to_owned(),
        reason: format!("{error}; {remedy}"),
    }
}

/// What is watched, as it is now, and in words.
fn read(readings: &Readings, cause: Cause, level: f64) -> Option<(f64, String)> {
    let bytes = |bytes: u64| mib(i64::try_from(bytes).unwrap_or(i64::MAX));
    Some(match cause {
        Cause::Limit => {
            let tightest = readings.tightest(level)?;
            let (used, limit) = (bytes(tightest.used), bytes(tightest.limit));
            let per_cent = tightest.share() * 100.0;
            let text = format!(
                "{used} of the {limit} of {} are used ({per_cent:.0} %)",
                tightest.of
            );
            (tightest.share(), text)
        }
        Cause::Resident => {
            let resident = readings.resident()?;
            let text = format!(
                "resident memory is {}, above {}",
                bytes(resident),
                bytes(level as u64)
            );
            (resident as f64, text)
        }
        Cause::InUse => {
            let in_use = u64::try_from(profile::in_use_bytes()).unwrap_or(0);
            let text = format!(
                "{} are in use, above {}",
                bytes(in_use),
                bytes(level as u64)
            );
            (in_use as f64, text)
        }
        Cause::Pressure => {
            let pressure = readings.pressure()?;
            let text =
                format!("memory pressure: work stood still for {pressure:.0} % of ten seconds");
            (pressure, text)
        }
        _ => return None,
    })
}

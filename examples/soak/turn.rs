//! One turn: everything starts, goes on for a while, stops and is joined; and in an exact turn, is compared.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use debug_pprof::HeapProfile;

use crate::report::Report;
use crate::scrapes::{self, Route, Scrapes};
use crate::workers::{Done, Exchange};
use crate::{forks, rates, visitors, workers};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The rate changes all the while.
    Mixed,
    /// The rate is 1, and the profile must be exact.
    Exact,
}

pub(crate) struct Turn {
    pub(crate) kind: Kind,
    pub(crate) addr: SocketAddr,
    pub(crate) routes: &'static [Route],
    pub(crate) forks: bool,
    pub(crate) length: Duration,
    pub(crate) seed: u64,
}

/// What all the threads of a turn have done, and the blocks that are left.
#[derive(Default)]
struct Outcome {
    done: Done,
    /// What each worker still had.
    left: Vec<Vec<Vec<u8>>>,
    visitors: u64,
    children: u64,
    rate_changes: u64,
    scrapes: Scrapes,
    wrong: Vec<String>,
}

impl Turn {
    /// Runs it. When it returns, everything that it allocated has been freed.
    pub(crate) fn run(&self, report: &mut Report) {
        let before = HeapProfile::capture();
        debug_pprof::set_sample_rate(1);
        let exchange = Exchange::new();
        let mut outcome = self.everything_at_once(&exchange);
        let after = HeapProfile::capture();

        if let (Kind::Exact, Ok(before), Ok(after)) = (self.kind, &before, &after) {
            let differences = outcome.done.tally.differences(&after.since(before));
            outcome.wrong.extend(differences);
        }
        let blocks = outcome.left.drain(..).flatten();
        for block in blocks.chain(exchange.into_blocks()) {
            outcome.done.tally.freed(&block);
        }
        if let (Kind::Exact, Ok(before), Ok(after)) = (self.kind, &before, HeapProfile::capture()) {
            let differences = outcome.done.tally.differences(&after.since(before));
            outcome.wrong.extend(differences);
        }
        debug_pprof::set_sample_rate(0);

        report.exact_turns += u64::from(self.kind == Kind::Exact);
        report.operations += outcome.done.operations;
        report.blocks += outcome.done.tally.allocs();
        report.panics += outcome.done.panics;
        report.visitors += outcome.visitors;
        report.children += outcome.children;
        report.rate_changes += outcome.rate_changes;
        report.scrapes.add(&outcome.scrapes);
        // Copies, made while nothing is sampled: the report outlives the turn.
        for wrong in &outcome.wrong {
            report.wrong.push(wrong.clone());
        }
    }

    fn everything_at_once(&self, exchange: &Exchange) -> Outcome {
        let stop = &AtomicBool::new(false);
        thread::scope(|scope| {
            let cores = thread::available_parallelism().map_or(1, usize::from) as u64;
            let workers: Vec<_> = (0..cores)
                .map(|nth| {
                    let seed = self.seed * cores + nth + 1;
                    scope.spawn(move || workers::work(seed, exchange, stop))
                })
                .collect();
            let visitors = scope.spawn(|| visitors::come_and_go(exchange, stop));
            let forks = self.forks.then(|| scope.spawn(|| forks::fork(stop)));
            let rates = (self.kind == Kind::Mixed).then(|| scope.spawn(|| rates::change(stop)));
            let clients = self.clients(scope, stop);
            thread::sleep(self.length);
            stop.store(true, Ordering::Relaxed);

            // Each is joined by hand: the scope's own end does not wait for the destructors of a thread's locals.
            let mut outcome = Outcome::default();
            for worker in workers {
                if let Some(done) = outcome.joined("a worker", worker.join().map(Ok)) {
                    outcome.add(done);
                }
            }
            if let Some((tally, visitors)) = outcome.joined("the visitors' thread", visitors.join())
            {
                outcome.done.tally.add(&tally);
                outcome.visitors = visitors;
            }
            if let Some(forks) = forks
                && let Some(children) = outcome.joined("the forking thread", forks.join())
            {
                outcome.children = children;
            }
            if let Some(rates) = rates
                && let Some(changes) = outcome.joined("the rate's thread", rates.join().map(Ok))
            {
                outcome.rate_changes = changes;
            }
            for client in clients {
                if let Some(scrapes) = outcome.joined("a client", client.join()) {
                    outcome.scrapes.add(&scrapes);
                }
            }
            outcome
        })
    }

    fn clients<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        stop: &'scope AtomicBool,
    ) -> [ScopedJoinHandle<'scope, Result<Scrapes, String>>; 3] {
        let (addr, routes) = (self.addr, self.routes);
        [
            scope.spawn(move || scrapes::scrape(addr, routes, stop)),
            scope.spawn(move || scrapes::scrape(addr, routes, stop)),
            scope.spawn(move || scrapes::scrape_deltas(addr, stop)),
        ]
    }
}

impl Outcome {
    /// What a thread returned; none if it did not do what it should.
    fn joined<T>(&mut self, who: &str, result: thread::Result<Result<T, String>>) -> Option<T> {
        match result {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(wrong)) => self.wrong.push(wrong),
            Err(_) => self.wrong.push(format!("{who} panicked")),
        }
        None
    }

    fn add(&mut self, done: Done) {
        self.done.tally.add(&done.tally);
        self.done.operations += done.operations;
        self.done.panics += done.panics;
        self.left.push(done.kept);
    }
}

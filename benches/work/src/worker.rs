//! A thread that stays and does rounds of work when it is told, so that a round holds no thread's start.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

pub(crate) struct Worker {
    begin: Sender<u64>,
    done: Receiver<()>,
}

impl Worker {
    /// `set_up` runs on the thread, so that what it allocates is that thread's.
    pub(crate) fn start<W: FnMut(u64)>(set_up: impl FnOnce() -> W + Send + 'static) -> Self {
        let (begin, orders) = channel();
        let (finished, done) = channel();
        thread::spawn(move || {
            let mut work = set_up();
            let _ = finished.send(());
            for count in orders {
                work(count);
                if finished.send(()).is_err() {
                    break;
                }
            }
        });
        let worker = Self { begin, done };
        worker.wait();
        worker
    }

    pub(crate) fn begin(&self, count: u64) {
        self.begin.send(count).expect("the worker is alive");
    }

    pub(crate) fn wait(&self) {
        self.done.recv().expect("the worker is alive");
    }
}

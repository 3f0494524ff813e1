//! Leak 3: a timer that nobody stops. Each holds the history that it once needed.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What one ticker remembers.
pub(crate) const HISTORY_BYTES: usize = 24 << 10;

const PERIOD: Duration = Duration::from_millis(100);

/// All running tickers, driven by one thread.
#[derive(Clone, Default)]
pub(crate) struct Tickers {
    running: Arc<Mutex<Vec<Ticker>>>,
}

struct Ticker {
    history: Vec<u8>,
    ticks: usize,
}

impl Tickers {
    /// Starts the thread that drives them.
    pub(crate) fn drive(&self) -> std::io::Result<()> {
        let tickers = self.clone();
        let tick_all = move || {
            loop {
                thread::sleep(PERIOD);
                let mut running = tickers
                    .running
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                running.iter_mut().for_each(Ticker::tick);
            }
        };
        thread::Builder::new()
            .name("tickers".to_owned())
            .spawn(tick_all)
            .map(drop)
    }
}

impl Ticker {
    fn tick(&mut self) {
        let slot = self.ticks % self.history.len();
        self.history[slot] = 1;
        self.ticks += 1;
    }
}

/// Watches something from now on. What is missing: a handle whose drop stops it.
#[inline(never)]
pub(crate) fn start(tickers: &Tickers) {
    let ticker = Ticker {
        history: vec![0; HISTORY_BYTES],
        ticks: 0,
    };
    tickers
        .running
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(ticker);
}

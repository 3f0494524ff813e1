//! A Prometheus of one's own, for as long as the value lives.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::http_client::{self, CLOSE};

/// A test that hangs fails; no assertion depends on it.
const HANG: Duration = Duration::from_secs(120);

pub(crate) struct Prometheus {
    child: Child,
    addr: SocketAddr,
    directory: PathBuf,
}

impl Prometheus {
    /// Scrapes `targets` every second.
    pub(crate) fn start(targets: &[SocketAddr]) -> Prometheus {
        let name = format!("prometheus-{}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).expect("a directory");
        let targets: Vec<String> = targets.iter().map(|addr| format!("'{addr}'")).collect();
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: rust\n  static_configs:\n  - targets: [{}]\n",
            targets.join(", ")
        );
        fs::write(directory.join("prometheus.yml"), config).expect("written");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = free.local_addr().expect("it is bound");
        drop(free);
        let child = Command::new(crate::prometheus::tool("prometheus"))
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={addr}"))
            .arg("--log.level=error")
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("prometheus can be started");
        Prometheus {
            child,
            addr,
            directory,
        }
    }

    /// The answer's `data` as soon as `is_there` says that it is what is waited for.
    pub(crate) fn wait_for(
        &self,
        path: &str,
        is_there: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let started = Instant::now();
        let mut last = String::new();
        while started.elapsed() < HANG {
            if let Ok(answer) = http_client::try_get(self.addr, path, CLOSE) {
                last = answer.text();
                let answer: serde_json::Value = serde_json::from_str(&last).unwrap_or_default();
                if is_there(&answer["data"]) {
                    return answer["data"].clone();
                }
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("{path}: {last}");
    }

    /// The newest value of `query` for `target`.
    pub(crate) fn value(&self, query: &str, target: SocketAddr) -> f64 {
        self.wait_for_value(query, target, |_| true)
    }

    /// The newest value of `query` for `target`, as soon as it is one that is waited for.
    pub(crate) fn wait_for_value(
        &self,
        query: &str,
        target: SocketAddr,
        is_it: impl Fn(f64) -> bool,
    ) -> f64 {
        let path = format!("/api/v1/query?query={query}");
        let data = self.wait_for(&path, |data| value_of(data, target).is_some_and(&is_it));
        value_of(&data, target).expect("it is there")
    }
}

fn value_of(data: &serde_json::Value, target: SocketAddr) -> Option<f64> {
    let series = data["result"].as_array()?;
    let of_target = series
        .iter()
        .find(|series| series["metric"]["instance"] == target.to_string().as_str())?;
    of_target["value"][1].as_str()?.parse().ok()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

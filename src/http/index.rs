//! The index page: Go's, with the names that have an answer here, and the same as JSON for the page under `ui/`.

use std::env;
use std::fmt::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::catalog::{CATALOG, Content, Watched};
use super::form;
use super::limits::RouteLimits;
use super::query::Query;
use super::response::Response;
use super::stacks::StackSource;
use crate::custom;
use crate::profile::{self, Pieces, json_string};
use crate::signal;
use crate::task;
use crate::watch;

/// Something that has an answer.
struct Row {
    name: String,
    description: String,
    /// Entries that it has now: stacks, for most.
    count: u64,
    kind: Kind,
}

/// What can be asked of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A memory profile: ages, labels, growth.
    Memory,
    /// Growth that does not stop: over which time.
    Leaks,
    /// A memory profile of a moment that was.
    Peak,
    /// Counts by stack.
    Stacks,
    /// The same, of an interval that begins with the request.
    Interval,
    /// A profile that has no entries, ever.
    Empty,
    /// No profile.
    Other,
}

impl Kind {
    /// As it stands in the JSON.
    fn name(self) -> &'static str {
        match self {
            Kind::Memory => "memory",
            Kind::Leaks => "leaks",
            Kind::Peak => "peak",
            Kind::Stacks => "stacks",
            Kind::Interval => "interval",
            Kind::Empty => "empty",
            Kind::Other => "other",
        }
    }
}

/// The index, in the form that is asked for.
pub(super) fn answer(query: Query<'_>, head_only: bool, limits: &RouteLimits) -> Response {
    match query.value("format").as_str() {
        "json" if head_only => Response::json(Pieces::default()),
        "json" => Response::json(Pieces::of(json(&rows(limits)).as_bytes())),
        "" if head_only => Response::html(String::new()),
        "" => Response::html(page(&rows(limits))),
        other => form::unknown(other, "json"),
    }
}

/// In the alphabet's order.
fn rows(limits: &RouteLimits) -> Vec<Row> {
    let (leaks, peak) = watch::counts();
    let row = |entry: &super::catalog::Entry| {
        let (kind, count) = match entry.content {
            Content::Memory(_) => (Kind::Memory, profile::bucket_count()),
            Content::Watched(Watched::Leaks) => (Kind::Leaks, leaks),
            Content::Watched(Watched::Peak) => (Kind::Peak, peak),
            Content::Stacks(StackSource::Contention(_)) => (Kind::Empty, 0),
            Content::Stacks(StackSource::Goroutine) => {
                (Kind::Stacks, signal::thread_count() + task::alive())
            }
            Content::Stacks(StackSource::GoroutineLeak) => (Kind::Stacks, task::lost()),
            Content::Stacks(StackSource::ThreadCreate) => (Kind::Stacks, signal::thread_count()),
            // Not in the catalog.
            Content::Stacks(StackSource::Custom(_)) => return None,
            Content::Cpu => (Kind::Interval, 0),
            Content::Cmdline if limits.hide_cmdline => return None,
            Content::Cmdline | Content::Symbol => (Kind::Other, 0),
            Content::Absent(_) => return None,
        };
        Some(Row {
            name: entry.name.to_owned(),
            description: entry.description.to_owned(),
            count: count as u64,
            kind,
        })
    };
    // Without a description, as Go's.
    let own = custom::registered().map(|registered| Row {
        name: registered.name().to_owned(),
        description: String::new(),
        count: registered.count() as u64,
        kind: Kind::Stacks,
    });
    let mut rows: Vec<Row> = CATALOG.iter().filter_map(row).chain(own).collect();
    rows.sort_by(|one, next| one.name.cmp(&next.name));
    rows
}

/// The page. Its links are relative, so that it works under any mount prefix.
fn page(rows: &[Row]) -> String {
    let mut page = String::from(TOP);
    // Writing to a String cannot fail.
    for Row { name, count, .. } in rows {
        let _ = writeln!(
            page,
            "<tr><td>{count}</td><td><a href='{name}?debug=1'>{name}</a></td></tr>"
        );
    }
    page.push_str(MIDDLE);
    for row in rows {
        let _ = writeln!(
            page,
            "<li><div class=profile-name>{}: </div> {}</li>",
            row.name, row.description
        );
    }
    page.push_str(BOTTOM);
    page
}

/// The same, and who is asked.
fn json(rows: &[Row]) -> String {
    let program = env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut json = String::from("{\"program\":");
    json_string(&mut json, &program.to_string_lossy());
    let _ = write!(
        json,
        ",\"pid\":{},\"version\":\"{}\",\"time_ms\":{},\"profiles\":[",
        std::process::id(),
        env!("CARGO_PKG_VERSION"),
        now.unwrap_or_default().as_millis()
    );
    let profiles = rows.iter().filter(|row| row.kind != Kind::Other);
    for (nth, row) in profiles.enumerate() {
        json.push_str(if nth > 0 { ",{" } else { "{" });
        for (key, text) in [
            ("name", row.name.as_str()),
            ("kind", row.kind.name()),
            ("description", &row.description),
        ] {
            let _ = write!(json, "\"{key}\":");
            json_string(&mut json, text);
            json.push(',');
        }
        let _ = write!(json, "\"count\":{}}}", row.count);
    }
    json.push_str("]}\n");
    json
}

const TOP: &str = "<html>
<head>
<title>/debug/pprof/</title>
<style>
.profile-name{
\tdisplay:inline-block;
\twidth:6rem;
}
</style>
</head>
<body>
/debug/pprof/
<br>
<p><a href='ui/'>Look at them in this browser</a>: flame graphs, tables, growth</p>
<p>Set debug=1 as a query parameter to export in legacy text format</p>
<br>
Types of profiles available:
<table>
<thead><td>Count</td><td>Profile</td></thead>
";

const MIDDLE: &str = "</table>
<br>
<p>
Profile Descriptions:
<ul>
";

const BOTTOM: &str = "</ul>
</p>
<p><a href='metrics'>metrics</a>: memory, threads and descriptors as Prometheus reads them</p>
</body>
</html>";

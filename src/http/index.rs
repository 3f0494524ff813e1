//! The index page: Go's, with the names that have an answer here.

use std::fmt::Write;

use super::catalog::{CATALOG, Content, Entry};
use super::limits::RouteLimits;
use crate::custom;
use crate::profile;

/// The page. Its links are relative, so that it works under any mount prefix.
pub(super) fn page(limits: &RouteLimits) -> String {
    let mut page = String::from(TOP);
    // Writing to a String cannot fail.
    let rows = rows(limits);
    for Row { name, count, .. } in &rows {
        let _ = writeln!(
            page,
            "<tr><td>{count}</td><td><a href='{name}?debug=1'>{name}</a></td></tr>"
        );
    }
    page.push_str(MIDDLE);
    for Row {
        name, description, ..
    } in &rows
    {
        let _ = writeln!(
            page,
            "<li><div class=profile-name>{name}: </div> {description}</li>"
        );
    }
    page.push_str(BOTTOM);
    page
}

/// What is said of a name.
struct Row {
    /// Nothing in it means anything in HTML.
    name: &'static str,
    count: usize,
    description: &'static str,
}

/// In the alphabet's order.
fn rows(limits: &RouteLimits) -> Vec<Row> {
    let known = listed(limits).map(|entry| Row {
        name: entry.name,
        count: match entry.content {
            Content::Memory(_) => profile::bucket_count(),
            _ => 0,
        },
        description: entry.description,
    });
    // Without a description, as Go's.
    let own = custom::registered().map(|registered| Row {
        name: registered.name(),
        count: registered.count(),
        description: "",
    });
    let mut rows: Vec<Row> = known.chain(own).collect();
    rows.sort_by_key(|row| row.name);
    rows
}

fn listed(limits: &RouteLimits) -> impl Iterator<Item = &'static Entry> {
    let hide_cmdline = limits.hide_cmdline;
    CATALOG.iter().filter(move |entry| match entry.content {
        Content::Memory(_)
        | Content::Stacks(_)
        | Content::Cpu
        | Content::Watched(_)
        | Content::Symbol => true,
        Content::Cmdline => !hide_cmdline,
        Content::Absent(_) => false,
    })
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

//! The index page: Go's, with the names that have an answer here.

use std::fmt::Write;

use super::catalog::{CATALOG, Content, Entry};
use super::limits::RouteLimits;
use crate::profile;

/// The page. Its links are relative, so that it works under any mount prefix.
pub(super) fn page(limits: &RouteLimits) -> String {
    let mut page = String::from(TOP);
    // Writing to a String cannot fail.
    for entry in listed(limits) {
        let name = entry.name;
        let count = match entry.content {
            Content::Memory(_) => profile::bucket_count(),
            _ => 0,
        };
        let _ = writeln!(
            page,
            "<tr><td>{count}</td><td><a href='{name}?debug=1'>{name}</a></td></tr>"
        );
    }
    page.push_str(MIDDLE);
    for entry in listed(limits) {
        let _ = writeln!(
            page,
            "<li><div class=profile-name>{}: </div> {}</li>",
            entry.name, entry.description
        );
    }
    page.push_str(BOTTOM);
    page
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

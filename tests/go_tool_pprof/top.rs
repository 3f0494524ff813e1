//! `-top`: the table, and what it must say about the leaks.

use crate::captured;
use crate::example_binary::Build;
use crate::go_pprof::pprof;
use crate::leaky_service::{CACHE_BYTES, PREVIEWS_BYTES, TICKERS_BYTES, executable};

/// What `-top` prints.
#[derive(Debug)]
pub(crate) struct Top {
    /// `File:`, `Type:` and so on.
    pub(crate) legend: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// In bytes or objects.
    pub(crate) flat: i64,
    pub(crate) cum: i64,
}

impl Top {
    /// `go tool pprof -top ARGS…`, without trimming and rounding.
    #[track_caller]
    pub(crate) fn of(args: &[&str]) -> Top {
        let mut all = vec!["-top", "-unit=B", "-nodefraction=0"];
        all.extend(args);
        Top::parse(&pprof(&all))
    }

    fn parse(text: &str) -> Top {
        let mut lines = text.lines();
        let is_head = |line: &&str| line.trim_start().starts_with("flat ");
        let legend = lines
            .by_ref()
            .take_while(|line| !is_head(line))
            .map(str::to_owned)
            .collect();
        Top {
            legend,
            rows: lines.map(Row::parse).collect(),
        }
    }

    pub(crate) fn legend(&self, key: &str) -> Option<&str> {
        self.legend
            .iter()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    }

    /// The row of the function whose path ends so; a row of zeros if there is none.
    pub(crate) fn row(&self, path: &str) -> &Row {
        const NONE: &Row = &Row {
            name: String::new(),
            flat: 0,
            cum: 0,
        };
        self.rows
            .iter()
            .find(|row| row.name.ends_with(path))
            .unwrap_or(NONE)
    }

    fn names(&self) -> Vec<&str> {
        self.rows.iter().map(|row| row.name.as_str()).collect()
    }
}

impl Row {
    /// `flat flat% sum% cum cum% name (inline)`.
    fn parse(line: &str) -> Row {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let number = |cell: &str| {
            cell.trim_end_matches('B')
                .parse()
                .unwrap_or_else(|_| panic!("{cell:?} in {line:?}"))
        };
        assert!(cells.len() >= 6, "not a row of -top: {line:?}");
        let name = cells[5..]
            .join(" ")
            .trim_end_matches(" (inline)")
            .to_owned();
        Row {
            name,
            flat: number(cells[0]),
            cum: number(cells[3]),
        }
    }
}

#[test]
fn leaks_lead_in_a_debug_build() {
    let top = Top::of(&["-sample_index=inuse_space", captured::first_run().file()]);
    let names = top.names();
    assert!(names.len() > 3, "{top:#?}");
    assert_eq!(names[0], "leaky_service::cache::remember", "{top:#?}");
    assert_eq!(names[1], "leaky_service::previews::keep_slice", "{top:#?}");
    assert_eq!(names[2], "leaky_service::tickers::start", "{top:#?}");
}

/// The leaks are 1240, 1240 and 310 blocks, of which 146, 84 and 14 are sampled on average, and a dozen of all that is
/// alive beside them. The first two fail to lead in none of 10^12 runs; no ticker is sampled in one of 2 million.
#[test]
fn leaks_lead_in_a_release_build_at_the_default_rate() {
    let top = Top::of(&["-sample_index=inuse_space", captured::release_run().file()]);
    let mut leaders = top.names();
    leaders.truncate(2);
    leaders.sort_unstable();
    let leaks = [
        "leaky_service::cache::remember",
        "leaky_service::previews::keep_slice",
    ];
    assert_eq!(leaders, leaks, "{top:#?}");
    assert!(
        top.row("leaky_service::tickers::start").flat > 0,
        "{top:#?}"
    );
}

#[test]
fn inuse_space_is_exact_at_rate_1() {
    let top = Top::of(&["-sample_index=inuse_space", captured::first_run().file()]);
    for (function, bytes) in [
        ("cache::remember", CACHE_BYTES),
        ("previews::keep_slice", PREVIEWS_BYTES),
        ("tickers::start", TICKERS_BYTES),
    ] {
        let row = top.row(function);
        // The tables that hold the blocks come on top: a twentieth at most.
        assert!(
            (bytes..bytes + bytes / 20).contains(&row.cum),
            "{function} leaks {bytes}: {row:?}"
        );
        assert_eq!(
            row.cum,
            captured::first_run()
                .profile
                .through(function, "inuse_space")
        );
    }
}

#[test]
fn inuse_objects_counts_blocks() {
    let top = Top::of(&["-sample_index=inuse_objects", captured::first_run().file()]);
    let pages = CACHE_BYTES / (64 << 10);
    let row = top.row("cache::remember");
    assert!(
        (pages..pages + 4).contains(&row.cum),
        "{pages} pages: {row:?}"
    );
}

#[test]
fn healthy_churn_is_large_in_alloc_space_and_absent_from_inuse_space() {
    let file = captured::first_run().file();
    let allocated = Top::of(&["-sample_index=alloc_space", file]);
    let live = Top::of(&["-sample_index=inuse_space", file]);
    let render = "requests::render";
    assert!(
        allocated.row(render).cum > 4 * CACHE_BYTES,
        "{allocated:#?}"
    );
    // Only what the four connections are rendering right now.
    assert!(
        live.row(render).cum <= 4 * 5 * (64 << 10) + 4096,
        "{live:#?}"
    );
    let objects = Top::of(&["-sample_index=alloc_objects", file]);
    assert!(
        objects.row(render).cum >= 3 * (CACHE_BYTES >> 16),
        "{objects:#?}"
    );
}

#[test]
fn legend_names_file_build_and_type() {
    let captured = captured::first_run();
    let (file, build_id) = captured.profile.main_binary().expect("a main binary");
    for sample_type in [
        "alloc_objects",
        "alloc_space",
        "inuse_objects",
        "inuse_space",
    ] {
        let top = Top::of(&[&format!("-sample_index={sample_type}"), captured.file()]);
        assert_eq!(top.legend("File"), Some(file));
        assert_eq!(top.legend("Build ID"), Some(build_id));
        assert_eq!(top.legend("Type"), Some(sample_type));
        assert!(top.legend("Time").is_some());
        assert!(
            !top.legend.iter().any(|line| line.starts_with("Duration")),
            "{:#?}",
            top.legend
        );
    }
    let default = Top::of(&[captured.file()]);
    assert_eq!(default.legend("Type"), Some("inuse_space"));
}

#[test]
fn build_id_is_the_one_in_the_executable() {
    let (_, build_id) = captured::first_run()
        .profile
        .main_binary()
        .expect("a main binary");
    let id: Vec<u8> = (0..build_id.len())
        .step_by(2)
        .map(|at| {
            u8::from_str_radix(&build_id[at..at + 2], 16)
                .expect("the validator checked that it is hex")
        })
        .collect();
    assert!(id.len() >= 8, "{build_id:?}");
    let executable = executable(Build::Debug);
    let bytes = std::fs::read(executable).expect("it has just run");
    assert!(
        bytes.windows(id.len()).any(|window| window == id),
        "{build_id} is not in the executable"
    );
}

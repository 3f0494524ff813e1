//! The page under `ui/` in a real browser, against the leaky example: it draws the leak, zooms, searches, sorts, switches, marks
//! and shows growth, in light and dark, by mouse and by keyboard, and the console stays empty. A picture of each state is left in
//! `target/ui-screenshots`.
#![cfg(all(feature = "http", feature = "symbolize"))]

mod browser;
mod example_binary;
mod http_client;
mod leaky_service;

use std::path::Path;

use browser::{Browser, WINDOW};
use example_binary::Build;
use leaky_service::{CACHE_BYTES, Config, LeakyService};
use serde_json::Value;

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const DOWN: &str = "\u{e015}";
const RIGHT: &str = "\u{e014}";
const UP: &str = "\u{e013}";

const STATE: &str = "window.debugPprof.state";

struct Page {
    browser: Browser,
}

impl Page {
    fn state(&self, key: &str) -> Value {
        self.browser.run(&format!("return {STATE}.{key}"))
    }

    fn total(&self) -> f64 {
        self.state("total").as_f64().expect("a number")
    }

    fn text(&self, selector: &str) -> String {
        let text = self.browser.run(&format!(
            "return document.querySelector('{selector}').innerText"
        ));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The middle of the box of a function.
    #[track_caller]
    fn place(&self, function: &str) -> (f64, f64) {
        let place = self.browser.wait_for(&format!(
            "(() => {{ const box = debugPprof.box('{function}'), at = document.querySelector('#flame').getBoundingClientRect(); \
             return box && [at.x + box[0], at.y + box[1]]; }})()"
        ));
        (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
    }

    fn is_idle(&self) {
        self.browser
            .wait_for(&format!("!{STATE}.busy && {STATE}.boxes > 0"));
    }

    fn choose(&self, id: &str, value: &str) {
        self.browser.run(&format!(
            "const select = document.querySelector('#{id}'); select.value = '{value}'; select.dispatchEvent(new Event('change'))"
        ));
    }
}

#[test]
fn ui_shows_the_leak_in_a_browser() {
    let service = LeakyService::start(&Config::exact(Build::Debug));
    let browser = Browser::start();
    browser.prefer("light");
    browser.open(&format!("http://{}/debug/pprof/ui/", service.addr));
    let page = Page { browser };
    let browser = &page.browser;

    // The leak is drawn, as large as it is.
    service.wait_until_full();
    page.is_idle();
    browser.click("#refresh");
    page.is_idle();
    assert_eq!(page.state("profile"), "heap");
    assert_eq!(page.state("type"), "inuse_space");
    assert!(page.total() >= CACHE_BYTES as f64);
    browser.screenshot("1-flame-light");

    // Hover, then click to zoom.
    let leak = page.place("cache::remember");
    browser.point(leak, false);
    browser.wait_for("!document.querySelector('#tip').hidden");
    let tip = page.text("#tip");
    assert!(
        tip.contains("leaky_service::cache::remember")
            && tip.contains("cache.rs:")
            && tip.contains("19.5 MiB"),
        "{tip}"
    );
    browser.screenshot("2-hover");
    browser.point(leak, true);
    browser.wait_for(&format!("{STATE}.zoomed.includes('cache::remember')"));
    assert!(page.text("#path").contains("remember"));
    browser.wait_for("debugPprof.box('cache::remember')[2] > 1200");
    browser.screenshot("3-zoomed");
    // The keyboard from here: out, and to the root.
    browser.press(ESCAPE);
    browser.wait_for(&format!("!{STATE}.zoomed.includes('cache::remember')"));
    browser.run("document.querySelector('#path button').click()");
    browser.wait_for(&format!("{STATE}.zoomed === 'all'"));
    browser.run("document.querySelector('#flame').focus()");
    browser.press(DOWN);
    let first = page.state("selected");
    assert_ne!(first, "all");
    browser.press(RIGHT);
    browser.press(UP);
    assert_eq!(page.state("selected"), "all");
    browser.press(DOWN);
    browser.press(ENTER);
    browser.wait_for(&format!("{STATE}.zoomed !== 'all'"));
    browser.press(ESCAPE);
    browser.wait_for(&format!("{STATE}.zoomed === 'all'"));

    // Search by its key, with a total.
    browser.press("/");
    browser.press("previews");
    let found = browser.wait_for(&format!("{STATE}.search"));
    assert!(
        found["total"].as_f64().unwrap() >= leaky_service::PREVIEWS_BYTES as f64,
        "{found}"
    );
    assert!(
        page.text("#matches").contains("11.0 MiB"),
        "{}",
        page.text("#matches")
    );
    browser.screenshot("4-search");
    browser.press(ESCAPE);
    assert_eq!(page.state("search"), Value::Null);

    // The table, sorted both ways, and a function's neighbours.
    browser.click("#tab-top");
    let row = page.text("#top tbody tr");
    assert!(
        row.contains("cache::remember") && row.contains("19.5 MiB"),
        "{row}"
    );
    browser.screenshot("5-top");
    browser.click("#top th:nth-child(3) button");
    assert_eq!(
        page.text("#top th[aria-sort=descending]")
            .to_lowercase()
            .trim_end_matches(" ▾"),
        "cum"
    );
    browser.run("document.querySelector('#search').value = 'cache::remember'; document.querySelector('#search').dispatchEvent(new Event('input'))");
    browser.click("#top tbody tr button");
    let around = page.text("#panel-around");
    assert!(
        around.contains("flat 19.5 MiB") && around.contains("Callers"),
        "{around}"
    );
    assert!(around.contains("leaky_service::"), "{around}");
    browser.screenshot("6-callers");
    browser.run("document.querySelector('#search').value = ''; document.querySelector('#search').dispatchEvent(new Event('input'))");
    browser.click("#tab-flame");

    // Another sample type: the churn.
    browser.click("#types button:nth-child(2)");
    assert_eq!(page.state("type"), "alloc_space");
    let allocated = page.total();
    page.place("requests::render");
    browser.screenshot("7-alloc-space");

    // A mark, and what grows from there: requests go on, and what leaked does not grow.
    browser.click("#mark");
    browser.wait_for(&format!("{STATE}.marks === 1"));
    let message = browser.wait_for(&format!("{STATE}.message"));
    assert!(
        message.as_str().unwrap().contains("Nothing has grown"),
        "{message}"
    );
    browser.screenshot("8-marked");
    // The traffic goes on.
    browser.click("#refresh");
    page.is_idle();
    browser.wait_for(&format!("{STATE}.message === ''"));
    let grown = page.total();
    assert!(grown > 0.0 && grown < allocated, "{grown}");
    page.place("requests::render");
    assert!(page.text("#about").contains('+'), "{}", page.text("#about"));
    browser.screenshot("9-growth");
    page.choose("base", "");
    page.is_idle();

    // By age, by object size, and what has lived long.
    page.choose("split", "age");
    page.is_idle();
    page.place("[age: ");
    browser.screenshot("10-by-age");
    page.choose("split", "");
    page.choose("age", "24h");
    browser.wait_for(&format!("{STATE}.message.includes('that old')"));
    page.choose("age", "");
    page.is_idle();

    // Other profiles.
    page.choose("profile", "allocs");
    browser.wait_for(&format!(
        "{STATE}.profile === 'allocs' && {STATE}.type === 'alloc_space' && {STATE}.total > 0"
    ));
    page.choose("profile", "leaks");
    browser.wait_for(&format!(
        "{STATE}.profile === 'leaks' && {STATE}.message !== '' && !{STATE}.busy"
    ));
    // Threads by their stacks, and the processor's time on demand.
    page.choose("profile", "goroutine");
    browser.wait_for(&format!(
        "{STATE}.profile === 'goroutine' && {STATE}.total > 3"
    ));
    page.place("leaky_service::");
    browser.screenshot("12-threads");
    page.choose("profile", "profile");
    browser.wait_for(&format!("{STATE}.message.includes('Nothing is recorded')"));
    browser.run("document.querySelector('#seconds').value = 1");
    browser.click("#refresh");
    browser.wait_for(&format!("{STATE}.type === 'cpu' && {STATE}.total > 0"));
    let about = page.text("#about");
    assert!(about.contains(" ms"), "{about}");
    browser.screenshot("13-processor");
    page.choose("profile", "heap");
    browser.wait_for(&format!("{STATE}.profile === 'heap' && {STATE}.total > 0"));

    // Dark, by the system and by the button.
    browser.prefer("dark");
    browser.wait_for(&format!("{STATE}.theme === 'dark'"));
    browser.screenshot("11-flame-dark");
    browser.click("#theme");
    assert_eq!(page.state("theme"), "light");

    // The figures live, and the way to go's tool.
    browser.wait_for(&format!("{STATE}.polls >= 2"));
    let live = page.text("#live");
    for figure in ["heap", "RSS", "threads"] {
        assert!(live.contains(figure), "{live}");
    }
    assert!(
        page.text("#command")
            .starts_with("go tool pprof 'http://127.0.0.1:")
    );
    let download = browser.run("return document.querySelector('#download').href");
    let path = download
        .as_str()
        .unwrap()
        .split_once("/debug/pprof/")
        .unwrap()
        .1;
    assert!(service.get(path).status == 200, "{path}");
    browser.assert_silent_console();
}

/// Drawn anew by `UPDATE_UI=1 cargo test --test ui_shows_the_leak_in_a_browser`, which takes a minute.
#[test]
fn the_readmes_pictures_are_there_and_small() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/screenshots");
    if std::env::var_os("UPDATE_UI").is_some() {
        draw_pictures(&directory);
    }
    for name in ["light", "dark"] {
        let readme = include_str!("../README.md");
        assert!(
            readme.contains(&format!("(examples/screenshots/{name}.png)")),
            "{name}"
        );
        let picture = std::fs::read(directory.join(format!("{name}.png"))).expect(name);
        assert!(picture.starts_with(b"\x89PNG"), "{name}");
        assert!(picture.len() <= 200_000, "{name}: {} bytes", picture.len());
    }
}

fn draw_pictures(directory: &Path) {
    let service = LeakyService::start(&Config::new(Build::Release, 512 << 10, 2000));
    let page = Page {
        browser: Browser::start(),
    };
    let browser = &page.browser;
    browser.resize(WINDOW.0, 560);
    browser.prefer("light");
    browser.open(&format!("http://{}/debug/pprof/ui/", service.addr));
    page.is_idle();
    browser.wait_for(&format!("{STATE}.polls >= 12"));
    browser.click("#mark");
    browser.wait_for(&format!("{STATE}.marks === 1"));
    page.choose("base", "");
    page.is_idle();
    let keep = |name: &str| {
        let picture = browser.screenshot(&format!("readme-{name}"));
        std::fs::copy(picture, directory.join(format!("{name}.png"))).expect("writable");
    };
    keep("light");
    browser.prefer("dark");
    browser.wait_for(&format!("{STATE}.polls >= 24"));
    browser.run("const base = document.querySelector('#base'); base.value = base.options[1].value; base.dispatchEvent(new Event('change'))");
    browser.wait_for(&format!(
        "!{STATE}.busy && document.querySelector('#about').textContent.includes('+')"
    ));
    page.place("cache::remember");
    keep("dark");
}

//! Whatever a profile holds, the page shows it or says why not, without an error in the console: names that are markup, in a real
//! profile of this process; nothing, one stack, 10 000 stacks of 128 frames, names of 1 000 characters; answers that are refused,
//! cut off or no JSON; and a server that is gone.
#![cfg(all(feature = "http", feature = "symbolize"))]

mod browser;

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use browser::Browser;
use debug_pprof::http::{Request, respond};
use serde_json::{Value, json};

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator =
    debug_pprof::ProfiledAllocator::system().sample_every(1);

const STATE: &str = "window.debugPprof.state";

/// A symbol that would run, were it ever taken for markup.
#[unsafe(export_name = "<script>alert(1)</script><img src=x onerror=alert(2)>")]
#[inline(never)]
extern "C" fn hostile_symbol() -> *mut Vec<u8> {
    Box::into_raw(Box::new(black_box(vec![7; 1 << 20])))
}

/// What `heap?format=json` is to be answered with instead of the truth.
#[derive(Clone)]
enum Told {
    Truth,
    Json(Arc<Vec<u8>>),
    Status(u16),
    /// Half of an answer.
    Half,
}

/// `respond` on a socket, but for what it is told to say.
struct Liar {
    addr: SocketAddr,
    told: Arc<Mutex<Told>>,
    gone: Arc<AtomicBool>,
}

impl Liar {
    fn start() -> Liar {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let (told, gone) = (
            Arc::new(Mutex::new(Told::Truth)),
            Arc::new(AtomicBool::new(false)),
        );
        let (shared, is_gone) = (Arc::clone(&told), Arc::clone(&gone));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if is_gone.load(Ordering::Relaxed) {
                    return;
                }
                let told = shared.lock().expect("no panic").clone();
                // A browser may go away in the middle.
                thread::spawn(move || answer(client, told).ok());
            }
        });
        Liar { addr, told, gone }
    }

    fn tell(&self, told: Told) {
        *self.told.lock().expect("no panic") = told;
    }

    /// Listens no more.
    fn go(&self) {
        self.gone.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.addr);
    }
}

fn answer(mut client: TcpStream, told: Told) -> std::io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    while lines
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    let target = first.split(' ').nth(1).unwrap_or("/").to_owned();
    let is_heap = target.starts_with("/debug/pprof/heap?format=json");
    let (status, headers, body, cut) = match told {
        Told::Json(body) if is_heap => (200, Vec::new(), body.to_vec(), 0),
        Told::Status(status) if is_heap => {
            let said = b"no <b>memory</b> left\n".to_vec();
            (status, Vec::new(), said, 0)
        }
        told => {
            let answer = respond(&Request::get(target));
            let cut = match told {
                Told::Half if is_heap => answer.body.len() / 2,
                _ => 0,
            };
            (answer.status, answer.headers, answer.body, cut)
        }
    };
    write!(
        client,
        "HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    )?;
    for (name, value) in headers {
        write!(client, "{name}: {value}\r\n")?;
    }
    client.write_all(b"\r\n")?;
    client.write_all(&body[..body.len() - cut])
}

/// A profile of these stacks, given root first, each worth 1 000 bytes.
fn profile(names: &[String], stacks: &[Vec<usize>]) -> Told {
    let strings: Vec<&str> = [""]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let functions: Vec<[usize; 2]> = (1..strings.len()).map(|nth| [nth, 0]).collect();
    let frames: Vec<[usize; 2]> = (0..names.len()).map(|nth| [nth, nth % 99]).collect();
    let samples: Vec<Value> = stacks
        .iter()
        .map(|stack| {
            let leaf_first: Vec<&usize> = stack.iter().rev().collect();
            json!([leaf_first, [1, 1000, 1, 1000]])
        })
        .collect();
    let types = [
        ["alloc_objects", "count"],
        ["alloc_space", "bytes"],
        ["inuse_objects", "count"],
        ["inuse_space", "bytes"],
    ];
    let body = json!({
        "sample_types": types, "default_sample_type": "inuse_space", "period_type": ["space", "bytes"],
        "period": 1, "time_ms": 1, "duration_ms": 0, "total": [0, 0, 0, 0], "comments": ["<b>bold</b>"],
        "strings": strings, "functions": functions, "frames": frames, "samples": samples,
    });
    Told::Json(Arc::new(body.to_string().into_bytes()))
}

fn refresh(browser: &Browser) {
    browser.click("#refresh");
    browser.wait_for(&format!("!{STATE}.busy"));
}

fn text(browser: &Browser, expression: &str) -> String {
    let value = browser.run(&format!("return {expression}"));
    value.as_str().unwrap_or_default().to_owned()
}

#[test]
fn ui_shows_hostile_profiles() {
    let leaked = hostile_symbol();
    let liar = Liar::start();
    let browser = Browser::start();
    browser.open(&format!("http://{}/debug/pprof/ui/", liar.addr));

    // The truth, with a symbol that is markup: on the canvas, in the tip, the table, the path.
    browser.wait_for(&format!("{STATE}.boxes > 0"));
    browser.type_into("#search", "<script>");
    browser.wait_for(&format!(
        "{STATE}.search.functions === 1 && {STATE}.search.total >= 1048576"
    ));
    browser.click("#tab-top");
    let shown = text(&browser, "document.querySelector('#top tbody').innerText");
    assert!(shown.contains("<script>alert(1)</script>"), "{shown}");
    browser.click("#top tbody button");
    let shown = text(
        &browser,
        "document.querySelector('#panel-around h2').textContent",
    );
    assert_eq!(
        shown,
        "<script>alert(1)</script><img src=x onerror=alert(2)>"
    );
    browser.run("document.querySelector('#search').value = ''; document.querySelector('#search').dispatchEvent(new Event('input'))");
    browser.click("#tab-flame");
    browser.screenshot("20-hostile-name");
    assert_eq!(
        browser.run("return document.querySelectorAll('script, img').length"),
        1
    );
    // A policy that were not in force would let this run.
    browser.run("const script = document.createElement('script'); try { script.textContent = 'window.wasRun = 1'; document.body.append(script) } catch {}");
    assert_eq!(browser.run("return window.wasRun === undefined"), true);
    let refused = browser.console();
    assert!(
        !refused.is_empty()
            && refused.iter().all(
                |(_, _, message)| message.contains("Content Security Policy")
                    || message.contains("TrustedScript")
            ),
        "{refused:?}"
    );

    // Nothing at all, and nothing of the type.
    liar.tell(profile(&[], &[]));
    refresh(&browser);
    let message = text(&browser, &format!("{STATE}.message"));
    assert!(message.contains("This profile is empty"), "{message}");
    browser.screenshot("21-empty");
    for tab in ["#tab-top", "#tab-around", "#tab-flame"] {
        browser.click(tab);
    }

    // One stack, of one frame.
    liar.tell(profile(&["main".to_owned()], &[vec![0]]));
    refresh(&browser);
    browser.wait_for(&format!(
        "{STATE}.message === '' && {STATE}.nodes === 2 && {STATE}.boxes === 2"
    ));
    for tab in ["#tab-around", "#tab-top", "#tab-flame"] {
        browser.click(tab);
    }
    browser.screenshot("22-one-stack");

    // Names of 1 000 characters.
    let long: Vec<String> = (0..40)
        .map(|nth| format!("svc::{}", format!("Very<Long, {nth}>").repeat(72)))
        .collect();
    assert!(long.iter().all(|name| name.len() > 900));
    liar.tell(profile(
        &long,
        &(0..40).map(|nth| (0..=nth).collect()).collect::<Vec<_>>(),
    ));
    refresh(&browser);
    browser.wait_for(&format!("{STATE}.nodes === 41"));
    browser.run("document.querySelector('#flame').focus()");
    browser.press("\u{e015}\u{e015}\u{e015}\u{e007}");
    browser.wait_for(&format!("{STATE}.zoomed.startsWith('svc::Very')"));
    browser.screenshot("23-long-names");
    browser.click("#tab-top");
    browser.click("#top tbody button");
    browser.screenshot("24-long-names-around");
    let fits = "document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight";
    assert_eq!(
        browser.run(&format!("return {fits}")),
        true,
        "the page is as large as the window"
    );
    browser.click("#tab-flame");

    // 10 000 stacks of 128 frames: 1 280 000 boxes at most.
    let names: Vec<String> = (0..3000)
        .map(|nth| format!("svc{}::module::function_{nth}", nth % 12))
        .collect();
    let stacks: Vec<Vec<usize>> = (0..10_000_usize)
        .map(|stack| {
            (0..128)
                .map(|depth| {
                    (stack * (depth / 8 * 31 + 1) / (1 + 127 / (depth + 1)) + depth) % 3000
                })
                .collect()
        })
        .collect();
    liar.tell(profile(&names, &stacks));
    refresh(&browser);
    browser.wait_for(&format!("{STATE}.nodes > 100000 && {STATE}.boxes > 100"));
    assert_eq!(browser.run(&format!("return {STATE}.total")), 10_000_000);
    println!(
        "10 000 stacks of 128 frames: {} nodes, {:.0} ms from the answer to the picture, {:.1} ms to paint",
        browser.run(&format!("return {STATE}.nodes")),
        browser
            .wait_for(&format!("{STATE}.firstPaintMs"))
            .as_f64()
            .unwrap_or(0.0),
        browser
            .run(&format!("return {STATE}.paintMs"))
            .as_f64()
            .unwrap_or(0.0),
    );
    browser.screenshot("25-ten-thousand-stacks");
    // Not asserted: it is the machine's.
    browser.run(
        "window.frames_ = []; let last = 0; const step = (now) => { if (last) frames_.push(now - last); last = now; if (frames_.length < 40) requestAnimationFrame(step) }; \
         flame.zoom(tree.children[tree.start[0]]); requestAnimationFrame(step)",
    );
    browser.wait_for("frames_.length === 40");
    let frames = browser.run("return frames_.sort((a, b) => a - b)");
    println!(
        "between frames while zooming: median {:.1} ms, worst of 40 {:.1} ms",
        frames[20].as_f64().unwrap(),
        frames[39].as_f64().unwrap()
    );
    browser.run("flame.zoom(0)");
    browser.click("#tab-top");
    browser.wait_for("document.querySelectorAll('#top tbody tr').length === 400");
    browser.click("#tab-flame");
    browser.assert_silent_console();

    // Refused: what the server says, as text, and a way to try again. The browser notes the status in its console by itself.
    liar.tell(Told::Status(503));
    refresh(&browser);
    let message = text(&browser, &format!("{STATE}.message"));
    assert!(
        message.contains("no <b>memory</b> left") && message.contains("Try again"),
        "{message}"
    );
    browser.screenshot("26-refused");
    liar.tell(Told::Json(Arc::new(b"{\"sample".to_vec())));
    browser.click("#message button");
    browser.wait_for(&format!("{STATE}.message.includes('whole')"));
    liar.tell(Told::Half);
    browser.click("#message button");
    browser.wait_for(&format!(
        "!{STATE}.busy && {STATE}.message.includes('whole')"
    ));
    liar.tell(profile(&["main".to_owned()], &[vec![0]]));
    browser.click("#message button");
    browser.wait_for(&format!("{STATE}.message === '' && {STATE}.boxes === 2"));

    // Gone: what was shown stays, and the page says so.
    liar.go();
    refresh(&browser);
    let banner = browser.wait_for(&format!("{STATE}.banner"));
    assert!(
        banner.as_str().unwrap().contains("does not answer"),
        "{banner}"
    );
    assert_eq!(browser.run(&format!("return {STATE}.boxes")), 2);
    browser.screenshot("27-gone");
    // What the network did is noted by the browser, and cannot be kept from it. Nothing of it is the page's.
    for (level, source, message) in browser.console() {
        assert!(source == "network", "{level} {source} {message}");
    }
    // SAFETY: it is `Box::into_raw`'s, and nothing else has it.
    drop(unsafe { Box::from_raw(leaked) });
}

//! The call sites: what Rust programs allocate from.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::error::Error;
use std::ffi::{CString, c_int, c_void};
use std::fmt::Display;
use std::future::Future;
use std::hint::black_box;
use std::panic;
use std::pin::pin;
use std::ptr;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;

pub fn run() {
    for site in [
        collections,
        strings,
        recursion,
        generics,
        dynamic,
        iterators,
        large_frames,
        realigned_frames,
        unwinding,
        c_calls_back,
        in_a_signal_handler,
        on_a_signal_stack,
        thread_locals,
        futures,
        channels,
        errors,
        by_layout,
    ] {
        site();
        // The same with a thread's root.
        thread::spawn(site).join().expect("a site panicked");
    }
}

fn collections() {
    let mut map = HashMap::new();
    let mut tree = BTreeMap::new();
    let mut queue = VecDeque::new();
    for i in 0..200_u64 {
        map.insert(i, vec![i; 3]);
        tree.insert(i.to_string(), Box::new(i));
        queue.push_back(Rc::new(i));
    }
    let mut vec: Vec<u64> = Vec::new();
    (0..5000).for_each(|i| vec.push(i));
    vec.shrink_to_fit();
    let zeroed = vec![0_u8; 70_000];
    black_box((map, tree, queue, vec, zeroed));
}

fn strings() {
    let mut text = String::new();
    for i in 0..40 {
        text += &format!("{i:>5}: {:?}\n", [i; 3]);
    }
    let words: Vec<String> = text.split_whitespace().map(str::to_uppercase).collect();
    black_box((
        words.join("-"),
        CString::new("c").expect("no zero"),
        text.replace(':', "::"),
    ));
}

#[inline(never)]
fn down(depth: u32) -> Vec<u32> {
    if depth == 0 {
        return vec![black_box(1); 11];
    }
    let mut below = down(depth - 1);
    below.push(depth);
    below
}

fn recursion() {
    for depth in [1, 7, 40, 70] {
        black_box(down(depth));
    }
}

trait Shape {
    fn points(&self) -> Vec<f64>;
}
struct Square(f64);
struct Many<T>(Vec<T>);
impl Shape for Square {
    #[inline(never)]
    fn points(&self) -> Vec<f64> {
        vec![self.0; 8]
    }
}
impl<T: Shape> Shape for Many<T> {
    #[inline(never)]
    fn points(&self) -> Vec<f64> {
        self.0.iter().flat_map(Shape::points).collect()
    }
}

fn generics() {
    let shapes = Many(vec![
        Many(vec![Square(1.0), Square(2.0)]),
        Many(vec![Square(3.0)]),
    ]);
    black_box(shapes.points());
}

fn dynamic() {
    let shapes: Vec<Box<dyn Shape>> =
        vec![Box::new(Square(1.0)), Box::new(Many(vec![Square(2.0)]))];
    let makers: Vec<Box<dyn Fn(usize) -> Vec<u8>>> = vec![
        Box::new(|n| vec![1; n]),
        Box::new(|n| Vec::with_capacity(n)),
    ];
    black_box(
        shapes
            .iter()
            .map(|shape| shape.points().len())
            .sum::<usize>(),
    );
    black_box(makers.iter().map(|make| make(33).capacity()).sum::<usize>());
}

fn iterators() {
    let mut lines: Vec<String> = (0..60).rev().map(|i| i.to_string()).collect();
    lines.sort();
    lines.sort_by_key(|line| line.clone());
    lines.dedup_by_key(|line| line.to_lowercase());
    let table: HashMap<usize, Vec<String>> = lines
        .chunks(7)
        .enumerate()
        .map(|(i, part)| (i, part.to_vec()))
        .collect();
    black_box(table);
}

/// A frame that no 9 bits of words can hold.
#[inline(never)]
fn large_frame(depth: u32) -> Vec<u8> {
    let mut room = [depth as u8; 9000];
    black_box(&mut room);
    let mut made = if depth == 0 {
        vec![1; 17]
    } else {
        large_frame(depth - 1)
    };
    made.push(room[depth as usize]);
    made
}

fn large_frames() {
    black_box(large_frame(3));
}

#[repr(align(128))]
struct Aligned([u8; 128]);

#[inline(never)]
fn realigned_frame(depth: u32) -> Vec<u8> {
    let mut local = Aligned([depth as u8; 128]);
    black_box(&mut local);
    let mut made = if depth == 0 {
        vec![1; 19]
    } else {
        realigned_frame(depth - 1)
    };
    made.push(local.0[0]);
    made
}

fn realigned_frames() {
    black_box(realigned_frame(3));
    black_box(Box::new(Aligned([0; 128])));
}

struct AllocatesWhenDropped;
impl Drop for AllocatesWhenDropped {
    fn drop(&mut self) {
        black_box(vec![1_u8; 23]);
    }
}

fn unwinding() {
    if cfg!(panic = "abort") {
        return;
    }
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {
        black_box(vec![1_u8; 29]);
    }));
    let caught = panic::catch_unwind(|| {
        let _guard = AllocatesWhenDropped;
        panic::panic_any(black_box(String::from("thrown")));
    });
    black_box(caught.expect_err("it panicked"));
    panic::set_hook(hook);
}

extern "C" fn compare(a: *const c_void, b: *const c_void) -> c_int {
    black_box(vec![1_u8; 31]);
    // SAFETY: qsort passes two of the array's elements.
    let (a, b) = unsafe { (*a.cast::<u32>(), *b.cast::<u32>()) };
    a.cmp(&b) as c_int
}

fn c_calls_back() {
    let mut numbers = [5_u32, 3, 8, 1, 9, 2];
    // SAFETY: the array's address, length and element size; `compare` has the right signature.
    unsafe { libc::qsort(numbers.as_mut_ptr().cast(), numbers.len(), 4, Some(compare)) };
    black_box(numbers);
}

extern "C" fn on_signal(_: c_int) {
    black_box(vec![1_u8; 37]);
}

fn raise_with(flags: c_int) {
    // SAFETY: all zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as extern "C" fn(c_int) as usize;
    action.sa_flags = flags;
    // SAFETY: a valid action.
    unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) };
    // SAFETY: handled. Outside the allocator, so that the handler may allocate.
    unsafe { libc::raise(libc::SIGUSR1) };
}

fn in_a_signal_handler() {
    raise_with(0);
}

fn on_a_signal_stack() {
    let mut room = vec![0_u8; 128 * 1024];
    let stack = |at: *mut u8, flags| libc::stack_t {
        ss_sp: at.cast(),
        ss_flags: flags,
        ss_size: 128 * 1024,
    };
    let on = stack(room.as_mut_ptr(), 0);
    // SAFETY: the room outlives its use as a stack.
    unsafe { libc::sigaltstack(&raw const on, ptr::null_mut()) };
    raise_with(libc::SA_ONSTACK);
    let off = stack(ptr::null_mut(), libc::SS_DISABLE);
    // SAFETY: takes it out of use.
    unsafe { libc::sigaltstack(&raw const off, ptr::null_mut()) };
}

thread_local! {
    static KEPT: RefCell<Vec<AllocatesWhenDropped>> = const { RefCell::new(Vec::new()) };
}

fn thread_locals() {
    KEPT.with_borrow_mut(|kept| kept.push(AllocatesWhenDropped));
}

struct NoWake;
impl Wake for NoWake {
    fn wake(self: Arc<Self>) {}
}

async fn leaf(n: usize) -> Vec<u8> {
    vec![1; n]
}

async fn branch(n: usize) -> usize {
    let boxed: std::pin::Pin<Box<dyn Future<Output = Vec<u8>>>> = Box::pin(leaf(n));
    boxed.await.len() + leaf(n + 1).await.len()
}

fn futures() {
    let waker = Waker::from(Arc::new(NoWake));
    let mut future = pin!(branch(41));
    black_box(
        future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready(),
    );
}

fn channels() {
    let (send, receive) = mpsc::channel();
    for i in 0..100 {
        send.send(Box::new(i)).expect("it is open");
    }
    black_box(receive.try_iter().count());
}

fn fails(what: impl Display) -> Result<(), Box<dyn Error + Send + Sync>> {
    Err(format!("no {what}"))?
}

fn errors() {
    black_box(fails("thing").expect_err("it fails").to_string());
    black_box(
        "x".parse::<u32>()
            .map_err(|error| error.to_string())
            .expect_err("no number"),
    );
    black_box(
        std::fs::read_to_string("/no/such/file")
            .expect_err("it is not there")
            .to_string(),
    );
}

fn by_layout() {
    for align in [1, 16, 64, 4096] {
        let layout = Layout::from_size_align(100, align).expect("a layout");
        // SAFETY: the size is not 0.
        let block = black_box(unsafe { alloc(layout) });
        // SAFETY: allocated just now.
        unsafe { dealloc(block, layout) };
    }
}

//! One function for each way to allocate.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use crate::types::{Kept, Order, Session, Twin};

pub struct Case {
    pub name: &'static str,
    pub types: &'static [&'static str],
    pub run: fn() -> Box<dyn Any>,
}

/// Objects that a case makes.
const MANY: u64 = 500;

fn session(id: u64) -> Session {
    Session {
        id: black_box(id),
        seen: 1,
        user: 2,
    }
}

fn twin(id: u64) -> Twin {
    Twin {
        id: black_box(id),
        seen: 1,
        user: 2,
    }
}

macro_rules! cases {
    ($($name:ident: $types:expr => $body:expr;)*) => {
        $(
            #[inline(never)]
            fn $name() -> Box<dyn Any> {
                let made = $body;
                // The box that it is kept in is no case.
                debug_pprof::set_sample_rate(0);
                black_box(Box::new(made))
            }
        )*
        pub const ALL: &[Case] = &[$(Case { name: stringify!($name), types: &$types, run: $name }),*];
    };
}

fn many<T>(make: impl Fn(u64) -> T) -> impl Iterator<Item = T> {
    (0..MANY).map(make)
}

/// A place for what is made one by one, itself not sampled.
fn each<T: 'static>(make: impl Fn(u64) -> T) -> Vec<T> {
    debug_pprof::set_sample_rate(0);
    let mut all = Vec::with_capacity(MANY as usize);
    debug_pprof::set_sample_rate(1);
    for id in 0..MANY {
        all.push(make(id));
    }
    all
}

async fn handler(session: Session) -> u64 {
    tokio::task::yield_now().await;
    session.id
}

async fn twin_handler(twin: Twin) -> u64 {
    tokio::task::yield_now().await;
    twin.id
}

fn document() -> String {
    debug_pprof::set_sample_rate(0);
    let lines: Vec<String> = (0..MANY)
        .map(|id| format!("{{\"id\":{id},\"seen\":1,\"user\":2}}"))
        .collect();
    let document = format!(
        "{{\"name\":\"a name that is long enough\",\"lines\":[{}]}}",
        lines.join(",")
    );
    debug_pprof::set_sample_rate(1);
    document
}

const SESSION: &str = "type_corpus::types::Session";
const TWIN: &str = "type_corpus::types::Twin";

cases! {
    box_session: [SESSION] => each(|id| Box::new(session(id)));
    box_twin: [TWIN] => each(|id| Box::new(twin(id)));
    box_dyn: [SESSION, TWIN] => each(|id| -> Box<dyn Kept> { if id % 2 == 0 { Box::new(session(id)) } else { Box::new(twin(id)) } });
    box_slice: [SESSION] => { let all: Box<[Session]> = many(session).collect(); all };
    box_str: ["u8"] => each(|_| Box::<str>::from(black_box("a text of some length")));
    box_pinned_future: ["type_corpus::cases::handler::{async_fn_env#0}"] => each(|id| -> Pin<Box<dyn Future<Output = u64>>> { Box::pin(handler(session(id))) });
    box_clone: [SESSION] => { let one = Box::new(session(1)); each(move |_| black_box(&one).clone()) };
    arc_session: [SESSION] => each(|id| Arc::new(session(id)));
    arc_mutex: ["std::sync::poison::mutex::Mutex<type_corpus::types::Twin>"] => each(|id| Arc::new(Mutex::new(twin(id))));
    arc_slice: [SESSION] => { let all: Arc<[Session]> = Arc::from(many(session).collect::<Vec<_>>()); all };
    arc_str: ["u8"] => each(|_| Arc::<str>::from(black_box("a text of some length")));
    rc_session: [SESSION] => each(|id| Rc::new(session(id)));
    rc_refcell: ["core::cell::RefCell<type_corpus::types::Twin>"] => each(|id| Rc::new(RefCell::new(twin(id))));
    vec_pushed: [SESSION] => { let mut all = Vec::new(); for id in 0..MANY { all.push(session(id)); } all };
    vec_pushed_twin: [TWIN] => { let mut all = Vec::new(); for id in 0..MANY { all.push(twin(id)); } all };
    vec_with_capacity: [SESSION] => Vec::<Session>::with_capacity(black_box(500));
    vec_collected: [SESSION] => many(session).collect::<Vec<_>>();
    vec_filtered: [TWIN] => many(twin).filter(|twin| twin.id % 3 != 1).collect::<Vec<_>>();
    vec_extended: [SESSION] => { let mut all = Vec::new(); all.extend(many(session)); all };
    vec_resized: [SESSION] => { let mut all = Vec::new(); all.resize(black_box(500), session(1)); all };
    vec_macro: [SESSION] => vec![session(1); black_box(500)];
    vec_cloned: [SESSION] => { let one = vec![session(1); black_box(500)]; let other = black_box(&one).clone(); (one, other) };
    vec_cloned_twin: [TWIN] => { let one = vec![twin(1); black_box(500)]; let other = black_box(&one).clone(); (one, other) };
    vec_to_vec: [SESSION] => { let one = vec![session(1); black_box(500)]; black_box(&one[1..]).to_vec() };
    vec_of_bytes: ["u8"] => vec![0_u8; black_box(5000)];
    vec_of_strings: ["alloc::string::String", "u8"] => { let mut all = Vec::new(); for id in 0..MANY { all.push(String::from(black_box("some text")) ); black_box(id); } all };
    vec_of_vecs: ["alloc::vec::Vec<type_corpus::types::Session>", SESSION] => { let mut all = Vec::new(); for id in 0..50 { let mut some = Vec::new(); some.push(session(id)); all.push(some); } all };
    vec_of_tuples: ["(u64, type_corpus::types::Twin)"] => { let mut all = Vec::new(); for id in 0..MANY { all.push((id, twin(id))); } all };
    vec_of_boxes: ["alloc::boxed::Box<dyn type_corpus::types::Kept>", SESSION] => { let mut all: Vec<Box<dyn Kept>> = Vec::new(); for id in 0..MANY { all.push(Box::new(session(id))); } all };
    vec_of_strs: ["&str"] => { let mut all = Vec::new(); for _ in 0..MANY { all.push(black_box("text")); } all };
    vec_of_functions: ["fn(u64) -> type_corpus::types::Session"] => { let mut all: Vec<fn(u64) -> Session> = Vec::new(); for _ in 0..MANY { all.push(black_box(session)); } all };
    vec_of_strings_cloned: ["alloc::string::String", "u8"] => { let one = vec![String::from("some text"); black_box(200)]; let other = black_box(&one).clone(); (one, other) };
    vec_of_vecs_cloned: ["alloc::vec::Vec<type_corpus::types::Twin>", TWIN] => { let one = vec![vec![twin(1); 3]; black_box(100)]; let other = black_box(&one).clone(); (one, other) };
    string_pushed: ["u8"] => { let mut text = String::new(); for _ in 0..MANY { text.push_str(black_box("some text")); } text };
    string_formatted: ["u8"] => each(|id| format!("session {id} of many"));
    string_to_string: ["u8"] => each(|id| id.to_string());
    string_cloned: ["u8"] => { let text = String::from(black_box("some text")); each(move |_| black_box(&text).clone()) };
    string_to_owned: ["u8"] => each(|_| black_box("some text").to_owned());
    hash_map: ["(u64, type_corpus::types::Session)"] => { let mut all = HashMap::new(); for id in 0..MANY { all.insert(id, session(id)); } all };
    hash_map_twin: ["(u64, type_corpus::types::Twin)"] => { let mut all = HashMap::new(); for id in 0..MANY { all.insert(id, twin(id)); } all };
    hash_map_entry: ["(u64, type_corpus::types::Session)"] => { let mut all = HashMap::new(); for id in 0..MANY { all.entry(id).or_insert_with(|| session(id)); } all };
    hash_map_of_strings: ["(alloc::string::String, type_corpus::types::Session)", "u8"] => { let mut all = HashMap::new(); for id in 0..MANY { all.insert(id.to_string(), session(id)); } all };
    hash_map_cloned: ["(u64, type_corpus::types::Twin)"] => { let one: HashMap<u64, Twin> = many(|id| (id, twin(id))).collect(); let other = black_box(&one).clone(); (one, other) };
    hash_set: [SESSION] => many(session).collect::<HashSet<_>>();
    btree_map: ["(u64, type_corpus::types::Session)"] => { let mut all = BTreeMap::new(); for id in 0..MANY { all.insert(id, session(id)); } all };
    btree_map_twin: ["(u64, type_corpus::types::Twin)"] => { let mut all = BTreeMap::new(); for id in 0..MANY { all.insert(id, twin(id)); } all };
    btree_map_entry: ["(u64, type_corpus::types::Twin)"] => { let mut all = BTreeMap::new(); for id in 0..MANY { all.entry(id).or_insert_with(|| twin(id)); } all };
    btree_map_collected: ["(u64, type_corpus::types::Session)"] => many(|id| (id, session(id))).collect::<BTreeMap<_, _>>();
    btree_set: [TWIN] => { let mut all = BTreeSet::new(); for id in 0..MANY { all.insert(twin(id)); } all };
    vec_deque: [SESSION] => { let mut all = VecDeque::new(); for id in 0..MANY { all.push_back(session(id)); } all };
    vec_deque_twin: [TWIN] => { let mut all = VecDeque::new(); for id in 0..MANY { all.push_front(twin(id)); } all };
    binary_heap: [SESSION] => { let mut all = BinaryHeap::new(); for id in 0..MANY { all.push(session(id)); } all };
    linked_list: [SESSION] => { let mut all = LinkedList::new(); for id in 0..MANY { all.push_back(session(id)); } all };
    linked_list_twin: [TWIN] => { let mut all = LinkedList::new(); for id in 0..MANY { all.push_front(twin(id)); } all };
    task_spawned: ["type_corpus::cases::handler::{async_fn_env#0}", "*"] => tasks(|id| handler(session(id)));
    task_spawned_twin: ["type_corpus::cases::twin_handler::{async_fn_env#0}", "*"] => tasks(|id| twin_handler(twin(id)));
    serde_value: ["serde_json::value::Value", "(alloc::string::String, serde_json::value::Value)", "u8"] => { let text = document(); serde_json::from_str::<serde_json::Value>(black_box(&text)).expect("JSON") };
    serde_struct: [SESSION, "u8"] => { let text = document(); serde_json::from_str::<Order>(black_box(&text)).expect("JSON") };
    serde_written: ["u8"] => { serde_json::to_string(&black_box([1, 2, 3])).expect("JSON") };
}

/// What the runtime allocates for itself may have any type of its own.
fn tasks<F: Future<Output = u64> + 'static>(
    make: impl Fn(u64) -> F,
) -> (tokio::runtime::Runtime, tokio::task::LocalSet) {
    debug_pprof::set_sample_rate(0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    debug_pprof::set_sample_rate(1);
    for id in 0..MANY {
        drop(local.spawn_local(make(id)));
    }
    (runtime, local)
}

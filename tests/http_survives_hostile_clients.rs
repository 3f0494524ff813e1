//! Attacks, among them all that bring down tiny_http 0.12, leave the endpoint answering within five seconds, in a
//! process with 24 descriptors that would not survive a panic, and leave no thread, descriptor or memory behind.
//!
//! The same attacks on tiny_http show that the test can tell.
#![cfg(all(feature = "http", target_os = "linux"))]

mod attack;
mod http_client;

use std::time::Duration;

use attack::process::Process;
use attack::table::{DEADLY, RUDE, SLOW};
use attack::{Attack, Damage, baseline, survives};

/// For threads and descriptors to go: the longest time-out of the server, and a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// For those of a server that is known not to give them back.
const LITTLE_PATIENCE: Duration = Duration::from_secs(1);

fn each_is_survived(attacks: &[Attack]) {
    let server = Process::start("this_crate");
    let before = baseline(&server, 16);
    for attack in attacks {
        let verdict = survives(&server, attack, before, PATIENCE);
        println!("{}: {verdict:?}, {:?}", attack.name, server.held());
        assert_eq!(verdict, Ok(()), "{}", attack.name);
    }
}

#[test]
fn what_is_deadly_elsewhere() {
    each_is_survived(DEADLY);
}

#[test]
fn clients_that_take_their_time() {
    each_is_survived(SLOW);
}

#[test]
fn clients_that_leave_at_a_bad_moment() {
    each_is_survived(RUDE);
}

/// What an attack does to tiny_http, in a process of its own for each.
fn damage_elsewhere(attack: &Attack) -> Result<(), Damage> {
    let server = Process::start("tiny_http");
    let before = baseline(&server, 0);
    let verdict = survives(&server, attack, before, LITTLE_PATIENCE);
    println!("{}: {verdict:?}", attack.name);
    verdict
}

fn named(name: &str) -> &'static Attack {
    let found = DEADLY.iter().find(|attack| attack.name == name);
    found.unwrap_or_else(|| panic!("no attack is called {name:?}"))
}

#[test]
fn tiny_http_dies_of_some() {
    for name in [
        "a length of 10^15 and no body",
        "resets before the server accepts",
    ] {
        let damage = damage_elsewhere(named(name));
        assert!(matches!(damage, Err(Damage::Dead(_))), "{name}: {damage:?}");
    }
}

#[test]
fn tiny_http_leaks_with_others() {
    // Few enough that it still answers; each takes a thread of its pool and two descriptors with it.
    let attack = Attack {
        name: "HTTP/2.0, thrice",
        run: |server| {
            (0..3).for_each(|_| {
                drop(attack::clients::send(
                    server.addr,
                    b"GET / HTTP/2.0\r\n\r\n",
                ));
            });
            Vec::new()
        },
    };
    let damage = damage_elsewhere(&attack);
    assert!(
        matches!(damage, Err(Damage::Leak { before, after })
            if after.descriptors >= before.descriptors + 6),
        "{damage:?}"
    );
}

/// All of the table, which takes a minute: most of these attacks end in five seconds without an answer.
#[test]
fn tiny_http_survives_one_in_eleven() {
    if std::env::var_os("DEBUG_PPROF_LONG").is_none() {
        return;
    }
    // The last one has an answer that the table checks, and is the wrong one there.
    let (last, others) = DEADLY.split_last().expect("a table");
    assert_eq!(last.name, "a header that ends in LF");
    let survived = others
        .iter()
        .filter(|attack| damage_elsewhere(attack).is_ok());
    let survived: Vec<_> = survived.map(|attack| attack.name).collect();
    // Its memory grows for as long as the header does, and comes back.
    assert!(
        survived.iter().all(|name| *name == "an endless header"),
        "{survived:?}"
    );
}

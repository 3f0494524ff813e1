//! What a thread is doing, in the few words that Go has between brackets.

/// From the kernel's letter, and its `syscall` and `wchan` files, which may be empty.
pub(super) fn describe(state: char, syscall: &str, wchan: &str) -> String {
    let word = match state {
        'R' => "running",
        'T' => "stopped",
        't' => "traced",
        'Z' | 'X' | 'x' => "ended",
        'I' => "idle",
        'P' => "parked",
        'D' => return format!("uninterruptible: {}", waiting(syscall, wchan)),
        _ => return waiting(syscall, wchan),
    };
    word.to_owned()
}

fn waiting(syscall: &str, wchan: &str) -> String {
    let number = syscall.split_ascii_whitespace().next();
    let number: Option<libc::c_long> = number.and_then(|number| number.parse().ok());
    if let Some(name) = number.and_then(name_of) {
        return name.to_owned();
    }
    let wchan: String = wchan.chars().filter(|of| of.is_ascii_graphic()).collect();
    match (wchan.as_str(), number) {
        ("" | "0", Some(number)) if number >= 0 => format!("system call {number}"),
        ("" | "0", _) => "waiting".to_owned(),
        (symbol, _) => symbol.to_owned(),
    }
}

/// Those that threads wait in.
fn name_of(number: libc::c_long) -> Option<&'static str> {
    Some(match number {
        libc::SYS_futex => "futex wait",
        libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => "epoll wait",
        libc::SYS_ppoll | libc::SYS_pselect6 => "poll",
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep => "sleep",
        libc::SYS_read | libc::SYS_readv | libc::SYS_pread64 | libc::SYS_preadv => "read",
        libc::SYS_write | libc::SYS_writev | libc::SYS_pwrite64 | libc::SYS_pwritev => "write",
        libc::SYS_accept | libc::SYS_accept4 => "accept",
        libc::SYS_recvfrom | libc::SYS_recvmsg | libc::SYS_recvmmsg => "receive",
        libc::SYS_sendto | libc::SYS_sendmsg | libc::SYS_sendmmsg => "send",
        libc::SYS_connect => "connect",
        libc::SYS_wait4 | libc::SYS_waitid => "child wait",
        libc::SYS_rt_sigtimedwait | libc::SYS_rt_sigsuspend => "signal wait",
        libc::SYS_io_uring_enter | libc::SYS_io_getevents => "I/O completion wait",
        libc::SYS_fsync | libc::SYS_fdatasync | libc::SYS_sync_file_range => "file sync",
        libc::SYS_flock | libc::SYS_fcntl => "file lock",
        libc::SYS_openat => "open",
        number => return older_name_of(number),
    })
}

/// Those that newer processors do not have.
#[cfg(target_arch = "x86_64")]
fn older_name_of(number: libc::c_long) -> Option<&'static str> {
    Some(match number {
        libc::SYS_epoll_wait => "epoll wait",
        libc::SYS_poll | libc::SYS_select => "poll",
        libc::SYS_pause => "signal wait",
        libc::SYS_open => "open",
        _ => return None,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn older_name_of(_number: libc::c_long) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn a_wait_has_the_name_of_what_it_is_for() {
        let futex = format!("{} 0x7f 0x80 0x0", libc::SYS_futex);
        for (state, syscall, wchan, expected) in [
            ('R', "running", "0", "running"),
            ('S', futex.as_str(), "futex_do_wait", "futex wait"),
            ('S', "", "ep_poll", "ep_poll"),
            ('S', "9999 0x0", "0", "system call 9999"),
            ('S', "-1 0x7ffc 0x7f27", "0", "waiting"),
            ('S', "running", "", "waiting"),
            ('D', "", "jbd2_log_wait", "uninterruptible: jbd2_log_wait"),
            ('T', "", "", "stopped"),
            ('Z', "", "", "ended"),
            ('?', "", "", "waiting"),
        ] {
            assert_eq!(
                describe(state, syscall, wchan),
                expected,
                "{state} {syscall}"
            );
        }
    }
}

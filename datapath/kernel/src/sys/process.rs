//! The process itself: threads that are interrupted, and its heap.

use std::io;

/// Has [`interrupt`] interrupt system calls, and do nothing else.
pub fn catch_interruptions() -> io::Result<()> {
    extern "C" fn nothing(_signal: libc::c_int) {}
    // SAFETY: all zero is a signal action, of which each field that matters is set below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is valid for the call, and its handler touches nothing.
    match unsafe { libc::sigaction(INTERRUPT, &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The signal that interrupts: where nobody catches it, it has no effect.
const INTERRUPT: libc::c_int = libc::SIGURG;

/// Interrupts the system call that a thread of this process is in, if it is in one that can be.
pub fn interrupt(thread: rustix::thread::Pid) {
    let (process, thread) = (std::process::id(), thread.as_raw_nonzero().get());
    // SAFETY: no memory is involved. A thread that isn't there is an error, which means that there is
    // nothing to interrupt.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, INTERRUPT) };
}

/// Has the heap of each thread end where it isn't used any more, for good: by itself it keeps up to 64
/// MiB that were used once.
pub fn keep_heap_small() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets numbers of the allocator's. Without bins for the smallest pieces, each that is
    // freed joins its neighbours, and so the end of the heap.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 20);
        libc::mallopt(libc::M_MXFAST, 0);
    }
}

/// Gives pages of the heap back to the system that hold nothing any more. Takes milliseconds.
pub fn give_back_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes the allocator's own locks, and touches what is free only.
    unsafe {
        libc::malloc_trim(0);
    }
}

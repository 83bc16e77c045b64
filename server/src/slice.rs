//! Short scheduler slices for workers.
//!
//! A worker sleeps when it has nothing to answer and must run again as soon as something arrives.
//! It may share its core with the committing thread, the disk threads and other programs. Linux
//! 6.12 and newer run a woken thread sooner when it has asked for a shorter slice (EEVDF: an
//! earlier virtual deadline). Its total share of the core stays the same.

use std::io;

/// The shortest slice that the kernel allows, in nanoseconds. The default is about 3 ms.
const SLICE_NS: u64 = 100_000;

/// Asks for short slices for this thread. Does nothing when the thread has a policy other than
/// `SCHED_OTHER`. Older kernels accept the call and ignore the slice.
#[expect(
    unsafe_code,
    reason = "the C library has no safe wrapper for these calls"
)]
pub(crate) fn ask_for_short_slices() -> io::Result<()> {
    // SAFETY: no memory is passed; 0 is the calling thread.
    if unsafe { libc::sched_getscheduler(0) } != libc::SCHED_OTHER {
        return Ok(());
    }
    let nice = rustix::process::getpriority_process(None)?;
    let attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0),
        sched_policy: u32::try_from(libc::SCHED_OTHER).unwrap_or(0),
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: SLICE_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    let (this_thread, flags) = (0, 0);
    // SAFETY: the kernel reads `size` bytes of `attributes`, which outlives the call, and writes
    // nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setattr,
            this_thread,
            &raw const attributes,
            flags,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    /// The slice of this thread as the kernel reports it, in nanoseconds.
    fn slice_ns() -> Option<u64> {
        let text = std::fs::read_to_string("/proc/thread-self/sched").ok()?;
        let line = text.lines().find(|line| line.starts_with("se.slice"))?;
        line.rsplit(':').next()?.trim().parse().ok()
    }

    /// Major and minor version of the kernel.
    fn kernel() -> (u32, u32) {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release
            .split(|c: char| !c.is_ascii_digit())
            .map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap(), numbers.next().unwrap())
    }

    #[test]
    fn the_slice_is_as_asked_for_and_the_priority_stays() {
        let nice = getpriority_process(None).unwrap();
        ask_for_short_slices().unwrap();
        assert_eq!(getpriority_process(None).unwrap(), nice);
        // Only kernels with debugging files report the slice.
        if let Some(slice_ns) = slice_ns()
            && kernel() >= (6, 12)
        {
            assert_eq!(slice_ns, SLICE_NS);
        }
    }
}

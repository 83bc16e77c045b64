//! Threads that give way to verifications.

use rustix::process::setpriority_process;
use rustix::thread::gettid;

/// What `nice` calls 19.
const LOWEST: i32 = 19;

/// Gives the calling thread the lowest priority: it runs when nobody else wants its core, and a little otherwise.
pub fn lowest() {
    // On Linux a priority belongs to a thread, not to its process.
    if let Err(error) = setpriority_process(Some(gettid()), LOWEST) {
        tracing::debug!(%error, "a thread in the background keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_calling_thread_gives_way() {
        let before = rustix::process::getpriority_process(None).unwrap();
        let in_thread = std::thread::spawn(|| {
            lowest();
            rustix::process::getpriority_process(Some(gettid())).unwrap()
        });
        assert_eq!(in_thread.join().unwrap(), LOWEST);
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), before);
    }
}

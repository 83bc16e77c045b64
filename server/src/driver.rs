//! The system interface for the I/O of a worker, and the runtime that uses it.
//!
//! monoio builds its ring with the given flags and fails when the kernel refuses them. So this
//! module tries one set of flags after the other. It does so on the thread that will run the ring,
//! because a single-issuer ring belongs to the thread that made it.

use std::fmt;
use std::io;

use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

use crate::error::ServerError;
use crate::options::DriverChoice;

/// The system interface for I/O, from the fastest to the slowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Driver {
    /// `io_uring` with `SINGLE_ISSUER` and `DEFER_TASKRUN` (Linux 6.1): the kernel delivers
    /// completions when the core asks for them.
    IoUringDeferred,
    /// `io_uring` with `COOP_TASKRUN` (Linux 5.19): completions do not interrupt the core.
    IoUringCooperative,
    /// epoll and one system call per operation.
    Epoll,
}

impl Driver {
    /// The name for logs and errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IoUringDeferred => "io_uring (single issuer, deferred task run)",
            Self::IoUringCooperative => "io_uring (cooperative task run)",
            Self::Epoll => "epoll",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The drivers to try, in this order.
const fn candidates(choice: DriverChoice) -> &'static [Driver] {
    match choice {
        DriverChoice::Auto => &[
            Driver::IoUringDeferred,
            Driver::IoUringCooperative,
            Driver::Epoll,
        ],
        DriverChoice::IoUring => &[Driver::IoUringDeferred, Driver::IoUringCooperative],
        DriverChoice::Epoll => &[Driver::Epoll],
    }
}

/// A runtime for this thread.
pub(crate) enum WorkerRuntime {
    /// Over a ring.
    Ring(Runtime<TimeDriver<IoUringDriver>>),
    /// Over epoll.
    Epoll(Runtime<TimeDriver<LegacyDriver>>),
}

impl WorkerRuntime {
    /// Builds the best runtime that `choice` allows and the kernel grants.
    pub(crate) fn build(choice: DriverChoice) -> Result<(Self, Driver), ServerError> {
        first_granted(candidates(choice), Self::try_build)
    }

    fn try_build(driver: Driver) -> io::Result<Self> {
        let mut ring = io_uring::IoUring::builder();
        match driver {
            Driver::IoUringDeferred => ring.setup_single_issuer().setup_defer_taskrun(),
            Driver::IoUringCooperative => ring.setup_coop_taskrun(),
            Driver::Epoll => {
                return RuntimeBuilder::<LegacyDriver>::new()
                    .enable_timer()
                    .build()
                    .map(Self::Epoll);
            }
        };
        RuntimeBuilder::<IoUringDriver>::new()
            .uring_builder(ring)
            .enable_timer()
            .build()
            .map(Self::Ring)
    }

    /// Runs `future` to its end, and the tasks that it spawns meanwhile.
    pub(crate) fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        match self {
            Self::Ring(runtime) => runtime.block_on(future),
            Self::Epoll(runtime) => runtime.block_on(future),
        }
    }
}

/// Builds with the first of `candidates` that the kernel allows.
///
/// # Errors
/// The error of the last candidate, when the kernel refuses all of them.
fn first_granted<T>(
    candidates: &[Driver],
    mut build: impl FnMut(Driver) -> io::Result<T>,
) -> Result<(T, Driver), ServerError> {
    let mut refused = ServerError::Thread(io::ErrorKind::Unsupported.into());
    for &driver in candidates {
        match build(driver) {
            Ok(granted) => return Ok((granted, driver)),
            Err(source) => {
                tracing::debug!(driver = driver.name(), %source, "driver refused");
                refused = ServerError::Driver {
                    driver: driver.name(),
                    source,
                };
            }
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(candidates: &[Driver], kernel: &[Driver]) -> Result<Driver, ServerError> {
        first_granted(candidates, |driver| {
            let allowed = kernel.contains(&driver);
            allowed
                .then_some(())
                .ok_or_else(|| io::ErrorKind::PermissionDenied.into())
        })
        .map(|((), driver)| driver)
    }

    #[test]
    fn drivers_that_the_kernel_refuses_are_skipped() {
        use Driver::{Epoll, IoUringCooperative, IoUringDeferred};
        let all = candidates(DriverChoice::Auto);
        assert_eq!(granted(all, all).unwrap(), IoUringDeferred);
        assert_eq!(
            granted(all, &[IoUringCooperative, Epoll]).unwrap(),
            IoUringCooperative
        );
        assert_eq!(granted(all, &[Epoll]).unwrap(), Epoll);
        let forced = candidates(DriverChoice::IoUring);
        assert_eq!(
            granted(forced, &[IoUringCooperative]).unwrap(),
            IoUringCooperative
        );
        let error = granted(forced, &[Epoll]).unwrap_err();
        assert!(error.to_string().contains("io_uring"), "{error}");
        assert_eq!(
            granted(candidates(DriverChoice::Epoll), all).unwrap(),
            Epoll
        );
    }
}

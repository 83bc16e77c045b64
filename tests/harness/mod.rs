//! What the scenarios share: servers, the command line, and records of what was acknowledged.
//! The HTTP client is in `talos-test-kit`.

pub mod cli;
pub mod engine;
pub mod fake_clock;
pub mod feed;
pub mod heads;
pub mod ledger;
pub mod requirement;
pub mod site;
pub mod tokens;
pub mod volume;

/// The server binary under test.
pub const TALOS: &str = env!("CARGO_BIN_EXE_talos");

/// How the data plane waits for sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The kernel's rings.
    IoUring,
    /// Readiness.
    Epoll,
}

impl Driver {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }

    /// Whether this kernel offers it to this process; containers often forbid `io_uring`.
    pub fn is_available(self) -> bool {
        self == Self::Epoll || io_uring::IoUring::new(2).is_ok()
    }
}

/// Makes each scenario two tests, `name::io_uring` and `name::epoll`. On CI both have to run.
macro_rules! both_drivers {
    ($($(#[$attribute:meta])* fn $name:ident($driver:ident: Driver) $body:block)*) => {$(
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports, reason = "scenarios use what their file imports")]
            use super::*;

            fn scenario($driver: $crate::harness::Driver) {
                if $driver.is_available() {
                    $body
                } else {
                    let driver = $driver.name();
                    $crate::harness::requirement::report_missing(&format!(
                        "the kernel does not offer {driver} to this process"
                    ));
                }
            }

            #[test]
            fn io_uring() {
                scenario($crate::harness::Driver::IoUring);
            }

            #[test]
            fn epoll() {
                scenario($crate::harness::Driver::Epoll);
            }
        }
    )*};
}

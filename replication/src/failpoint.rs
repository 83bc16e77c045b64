//! Failpoints: defects that a test enables to check that the simulation finds them. In release
//! builds each is a constant `false`.

#[cfg(test)]
use std::cell::Cell;

/// A defect of the state machines.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// A replica accepts changes that do not follow its last one.
    AcceptedGap,
    /// A primary accepts a replica without comparing epoch histories.
    IgnoredEpoch,
    /// A primary assumes that changes of equal epoch and sequence are equal.
    IgnoredDigest,
    /// A replica acknowledges changes when it receives them, before they are durable.
    EarlyAck,
    /// A primary forgets a replica as soon as its connection ends, although the replica may still
    /// answer for a while.
    NoLease,
}

#[cfg(test)]
thread_local! {
    static ENABLED: Cell<Option<Failpoint>> = const { Cell::new(None) };
}

/// Enables a failpoint in this thread, or with `None` disables it.
#[cfg(test)]
pub fn enable(failpoint: Option<Failpoint>) {
    ENABLED.set(failpoint);
}

macro_rules! switch {
    ($name:ident, $failpoint:ident) => {
        #[cfg(test)]
        pub fn $name() -> bool {
            ENABLED.get() == Some(Failpoint::$failpoint)
        }

        #[cfg(not(test))]
        pub const fn $name() -> bool {
            false
        }
    };
}

switch!(accepts_gaps, AcceptedGap);
switch!(ignores_epochs, IgnoredEpoch);
switch!(ignores_digests, IgnoredDigest);
switch!(acknowledges_early, EarlyAck);
switch!(forgets_leases, NoLease);

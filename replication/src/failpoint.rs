//! Defects that a test can switch on, to see that the simulation finds them. In the product all of them are constants.

#[cfg(test)]
use std::cell::Cell;

/// A failpoint of the state machines.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// A replica takes changes that do not follow those it has.
    AcceptedGap,
    /// A primary takes a replica back without looking at where their histories fork.
    IgnoredEpoch,
    /// A primary takes it that changes of the same epoch and sequence are the same.
    IgnoredDigest,
    /// A replica acknowledges changes when it gets them, not when they are durable.
    EarlyAck,
    /// A primary forgets a replica at once when the connection ends, though it may still answer for a while.
    NoLease,
}

#[cfg(test)]
thread_local! {
    static ENABLED: Cell<Option<Failpoint>> = const { Cell::new(None) };
}

/// Plants a failpoint in this thread, or takes it out.
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

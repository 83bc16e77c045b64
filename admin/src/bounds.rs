//! The type of the control plane's capacities.

/// The capacity of a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Requests that may wait for a handler.
    pub(crate) waiting: usize,
    /// The total size of the bodies of all waiting and running requests, in bytes.
    pub(crate) bytes: usize,
    /// Requests that may run at the same time.
    pub(crate) running: u32,
}

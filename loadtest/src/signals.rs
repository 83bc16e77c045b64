//! Ends a run early at Ctrl-C and SIGTERM.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::LoadError;

/// A flag that the first of these signals sets. The second one ends the process at once.
///
/// # Errors
/// When the system refuses to catch signals.
pub fn interruption() -> Result<Arc<AtomicBool>, LoadError> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&interrupted))
            .map_err(LoadError::io("catching signals"))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))
            .map_err(LoadError::io("catching signals"))?;
    }
    Ok(interrupted)
}

//! The limit of open descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::LoadError;

/// Descriptors for other things than the load's connections: writers, threads, files.
const OTHERS: u64 = 128;

/// Raises the soft limit, within the hard limit, so that this many connections can be open.
///
/// # Errors
/// When the hard limit is too low.
pub fn make_room_for(connections: u32) -> Result<(), LoadError> {
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = raised(
        limit.current,
        limit.maximum,
        u64::from(connections) + OTHERS,
    ) else {
        return Err(LoadError::Flags(format!(
            "--connections {connections}: this process may open {} descriptors; raise the hard limit (ulimit -Hn) or use fewer",
            limit.maximum.unwrap_or(0)
        )));
    };
    let raised = Rlimit {
        current,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)
        .map_err(|errno| LoadError::io("raising the limit of descriptors")(errno.into()))
}

/// The soft limit that has room for `needed`; `Some(None)` = no limit. `None` if the hard limit is
/// too low.
#[expect(
    clippy::option_option,
    reason = "a limit that does not exist is not a limit that cannot be set"
)]
fn raised(soft: Option<u64>, hard: Option<u64>, needed: u64) -> Option<Option<u64>> {
    if soft.is_none_or(|soft| soft >= needed) {
        Some(soft)
    } else if hard.is_none_or(|hard| hard >= needed) {
        Some(Some(needed))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_only_as_far_as_needed() {
        assert_eq!(raised(Some(1024), Some(4096), 200), Some(Some(1024)));
        assert_eq!(raised(Some(1024), Some(4096), 2000), Some(Some(2000)));
        assert_eq!(raised(Some(1024), Some(4096), 5000), None);
        assert_eq!(raised(Some(1024), None, 5000), Some(Some(5000)));
        assert_eq!(raised(None, None, 5000), Some(None));
    }

    #[test]
    fn a_few_connections_always_fit() {
        make_room_for(64).unwrap();
    }
}

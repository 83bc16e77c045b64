//! What the process asks of the system.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

/// Keeps secrets in memory out of files: no core dump, neither to a file nor to a collector, which ignores the limit.
pub(crate) fn disable_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = setrlimit(Resource::Core, none);
    let undumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if let Err(error) = limited.and(undumpable) {
        tracing::warn!(%error, "core dumps cannot be switched off; one would hold secrets");
    }
}

/// Every connection is a descriptor: takes all that the system allows this process.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    ) {
        tracing::warn!(%error, "the limit of open files stays at {:?}", limit.current);
    }
}

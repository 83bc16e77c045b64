//! Opens the audit log as the configuration says, and exposes its counts.

use std::fs;
use std::path::PathBuf;

use talos_api::fleet::Fleet;
use talos_audit::{Audit, AuditHandle, ChainKeys, Counts, Fsync, OpenError, Options, Target};
use talos_config::{AuditFile, AuditFsync, Settings};
use talos_metrics::Exposition;

/// Opens the log; `None` without `audit.file`.
///
/// # Errors
/// [`OpenError`], for the operator.
pub(super) fn open(settings: &Settings, fleet: &dyn Fleet) -> Result<Option<Audit>, OpenError> {
    let audit = &settings.audit;
    let Some(file) = &audit.file else {
        return Ok(None);
    };
    let target = match file {
        AuditFile::StandardOutput => Target::StandardOutput,
        AuditFile::Path(path) => Target::File {
            path: path.clone(),
            rotate_size: audit.rotate_size,
            keep: audit.keep,
        },
    };
    let options = Options {
        target,
        is_required: audit.required,
        fsync: match audit.fsync {
            AuditFsync::Always => Fsync::Always,
            AuditFsync::Interval => Fsync::Interval,
            AuditFsync::Never => Fsync::Never,
        },
        node: node_name(fleet),
        keys: ChainKeys::new(
            &settings.secrets.hmac_current,
            &settings.secrets.all_hmac_retired(),
        ),
    };
    Audit::open(options).map(Some)
}

/// The id of the node in its fleet; without one, the name of the host.
fn node_name(fleet: &dyn Fleet) -> String {
    let id = fleet.status().node_id;
    if !id.is_empty() {
        return id;
    }
    let host = fs::read_to_string(PathBuf::from("/proc/sys/kernel/hostname"));
    host.map_or_else(|_| String::new(), |name| name.trim().to_owned())
}

/// Writes the counts of the log, if there is one.
pub(super) fn expose(page: &mut Exposition, audit: Option<&AuditHandle>) {
    let Some(audit) = audit else { return };
    let Counts {
        written,
        dropped,
        failures,
        queued,
    } = audit.counts();
    for (name, help, total) in [
        (
            "talos_audit_entries_total",
            "Entries written to the audit log.",
            written,
        ),
        (
            "talos_audit_dropped_total",
            "Entries that the audit log could not take.",
            dropped,
        ),
        (
            "talos_audit_failures_total",
            "Failed attempts to write the audit log or to make it durable.",
            failures,
        ),
    ] {
        page.counter(name, help).sample(&[], total);
    }
    page.gauge(
        "talos_audit_queue",
        "Entries that wait to be written, and places reserved for running requests.",
    )
    .sample(&[], queued);
}

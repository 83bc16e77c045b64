//! `audit`: the log of who did what.

use std::path::PathBuf;

use talos_config::{AuditFile, AuditFsync};

use super::*;

#[test]
fn there_is_no_audit_log_unless_a_file_is_named() {
    let (settings, _) = load("", &[]).expect("settings");
    assert_eq!(settings.audit.file, None);
    assert!(!settings.audit.required);
    assert_eq!(settings.audit.fsync, AuditFsync::Interval);
    assert_eq!(
        (settings.audit.rotate_size, settings.audit.keep),
        (100 << 20, 10)
    );
}

#[test]
fn every_key_is_read() {
    let yaml = "audit: {file: /var/log/talos/audit.log, required: true, fsync: always, rotate_size: 1 MiB, keep: 3}";
    let (settings, _) = load(yaml, &[]).expect("settings");
    let path = PathBuf::from("/var/log/talos/audit.log");
    assert_eq!(settings.audit.file, Some(AuditFile::Path(path)));
    assert!(settings.audit.required);
    assert_eq!(settings.audit.fsync, AuditFsync::Always);
    assert_eq!(
        (settings.audit.rotate_size, settings.audit.keep),
        (1 << 20, 3)
    );
    let (settings, _) = load("", &[("TALOS_AUDIT_FILE", "-")]).expect("settings");
    assert_eq!(settings.audit.file, Some(AuditFile::StandardOutput));
}

#[test]
fn bad_values_and_a_requirement_without_a_file_stop_the_start() {
    for (yaml, says) in [
        (
            "audit: {required: true}",
            "audit.required: needs audit.file",
        ),
        (
            "audit: {fsync: often}",
            "allowed: one of always, interval, never",
        ),
        ("audit: {rotate_size: 1 KiB}", "too small"),
        ("audit: {keep: 0}", "too small"),
        ("audit: {path: a}", "audit.path: unknown key"),
    ] {
        let complaint = complaint(yaml, &[]);
        assert!(complaint.contains(says), "{yaml}: {complaint}");
    }
}

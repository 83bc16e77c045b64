//! Connections with TLS.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::node::Node;
use crate::driver::tls::{Certified, PrimaryTls, ReplicaTls, TlsError};

/// A certificate authority and its certificates, as files.
struct Files {
    directory: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Files {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(params, key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("authority.pem"), authority.pem()).unwrap();
        Self {
            directory,
            authority,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn authority(&self) -> std::path::PathBuf {
        self.path("authority.pem")
    }

    fn certify(&self, name: &str) -> Certified {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        let certified = Certified {
            certificates: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        };
        fs::write(&certified.certificates, certificate.pem()).unwrap();
        fs::write(&certified.key, key.serialize_pem()).unwrap();
        certified
    }
}

#[tokio::test]
async fn replicas_with_a_certificate_follow_within_tls_and_others_do_not() {
    let (ours, others) = (Files::new(), Files::new());
    let own = ours.certify("primary.test");
    let primary = Node::new(1);
    let last = primary.issue(0..50);
    let mut settings = primary.primary_settings();
    settings.tls = Some(PrimaryTls::load(&own, Some(&ours.authority())).unwrap());
    let serving = primary.serve_at("127.0.0.1:0", settings).await;

    let replica = ours.certify("replica.test");
    let stranger = others.certify("replica.test");
    let tls = |authority: &Path, name, own| ReplicaTls::load(authority, name, own).unwrap();
    let ours_at = ours.authority();
    let refused = [
        (10, None),
        (11, Some(tls(&ours_at, "primary.test", None))),
        (12, Some(tls(&ours_at, "primary.test", Some(&stranger)))),
        (13, Some(tls(&ours_at, "other.test", Some(&replica)))),
        (
            14,
            Some(tls(&others.authority(), "primary.test", Some(&replica))),
        ),
    ];
    for (number, tls) in refused {
        let node = Node::new(number);
        let mut settings = node.replica_settings(serving.address);
        settings.tls = tls;
        let mut refused = node.follow_with(settings);
        let status = refused.shows(|status| status.last_end.is_some()).await;
        assert!(!status.reaches(last), "{number}");
        assert_eq!(status.primary, None);
        refused.leave().await;
    }

    let node = Node::new(2);
    let mut settings = node.replica_settings(serving.address);
    settings.tls = Some(tls(&ours_at, "primary.test", Some(&replica)));
    let mut follower = node.follow_with(settings);
    follower.reaches(last).await;
    follower.reaches(primary.issue(50..60)).await;
    assert!(node.equals(&primary));
}

#[test]
fn files_that_do_not_hold_what_they_should_are_named() {
    let files = Files::new();
    let own = files.certify("primary.test");
    let swapped = Certified {
        certificates: own.key.clone(),
        key: own.certificates.clone(),
    };
    let missing = files.path("missing.pem");
    let errors = [
        PrimaryTls::load(&swapped, None).unwrap_err(),
        PrimaryTls::load(&own, Some(&missing)).unwrap_err(),
        ReplicaTls::load(&own.key, "primary.test", None).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, TlsError::File { .. }), "{error}");
    }
    let error = ReplicaTls::load(&files.authority(), "no name", None).unwrap_err();
    assert!(matches!(error, TlsError::Name(_)), "{error}");
}

#[tokio::test]
async fn renewed_certificates_are_for_the_next_connection() {
    let files = Files::new();
    let own = files.certify("primary.test");
    let primary = Node::new(1);
    let last = primary.issue(0..5);
    let mut settings = primary.primary_settings();
    let tls = PrimaryTls::load(&own, None).unwrap();
    let watch = tls.files();
    settings.tls = Some(tls);
    let serving = primary.serve_at("127.0.0.1:0", settings).await;
    let follow = |number, authority: std::path::PathBuf| {
        let node = Node::new(number);
        let mut settings = node.replica_settings(serving.address);
        settings.tls = Some(ReplicaTls::load(&authority, "primary.test", None).unwrap());
        (node, settings)
    };
    let (node, settings) = follow(2, files.authority());
    node.follow_with(settings).reaches(last).await;

    let others = Files::new();
    let renewed = others.certify("primary.test");
    fs::copy(renewed.certificates, &own.certificates).unwrap();
    fs::copy(renewed.key, &own.key).unwrap();
    watch.reload_if_changed();
    watch.reload_if_changed();
    let (node, settings) = follow(3, others.authority());
    node.follow_with(settings).reaches(last).await;
}

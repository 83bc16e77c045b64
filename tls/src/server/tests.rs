use std::fs;
use std::io;
use std::path::Path;

use rustls::{ClientConnection, HandshakeKind, ServerConnection};

use super::*;
use crate::client::{ClientFiles, ClientTls, server_name};
use crate::identity::ClientIdentity;
use crate::test_authority::{Authority, Files};

/// Carries bytes from one end to the other until neither has any more to send.
fn shake(
    client: &mut ClientConnection,
    server: &mut ServerConnection,
) -> Result<(), rustls::Error> {
    loop {
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut to_server).unwrap();
        }
        while server.wants_write() {
            server.write_tls(&mut to_client).unwrap();
        }
        if to_server.is_empty() && to_client.is_empty() {
            return Ok(());
        }
        let mut bytes = &to_server[..];
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = &to_client[..];
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).unwrap();
            client.process_new_packets()?;
        }
    }
}

fn connect(
    client: &ClientTls,
    server: &ServerTls,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let name = server_name("localhost").unwrap();
    let mut near = ClientConnection::new(client.config(), name).unwrap();
    let mut far = ServerConnection::new(server.config()).unwrap();
    shake(&mut near, &mut far)?;
    Ok((near, far))
}

fn of(files: Files) -> Certified {
    Certified {
        certificates: files.certificate,
        key: files.key,
    }
}

fn certified(authority: &Authority, name: &str) -> Certified {
    of(authority.certified(name))
}

fn files(authority: &Authority) -> ServerFiles {
    ServerFiles {
        own: certified(authority, "server"),
        client_authority: None,
    }
}

fn client_of(authority: &Authority, own: Option<Certified>) -> ClientTls {
    let files = ClientFiles {
        authorities: Some(authority.certificate()),
        own,
    };
    ClientTls::load(files, Protocol::Http).unwrap()
}

#[test]
fn a_private_authority_is_trusted_and_others_are_not() {
    let authority = Authority::new();
    let server = ServerTls::load(files(&authority), Protocol::Http).unwrap();
    let (client, far) = connect(&client_of(&authority, None), &server).unwrap();
    assert_eq!(client.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(far.peer_certificates(), None);

    connect(&client_of(&Authority::new(), None), &server).unwrap_err();
    let public = ClientTls::load(ClientFiles::default(), Protocol::Http).unwrap();
    connect(&public, &server).unwrap_err();
}

#[test]
fn sessions_are_resumed_by_tickets_unless_clients_have_certificates() {
    let authority = Authority::new();
    let mut files = files(&authority);
    let own = Some(certified(&authority, "client"));
    for (client_authority, wanted) in [
        (None, HandshakeKind::Resumed),
        (
            Some(ClientAuthority {
                certificates: authority.certificate(),
                client_certificate: ClientCertificate::Required,
            }),
            HandshakeKind::Full,
        ),
    ] {
        files.client_authority = client_authority;
        let server = ServerTls::load(files.clone(), Protocol::Http).unwrap();
        let client = client_of(&authority, own.clone());
        let (_, first) = connect(&client, &server).unwrap();
        assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
        let (_, second) = connect(&client, &server).unwrap();
        assert_eq!(second.handshake_kind(), Some(wanted));
    }
}

#[test]
fn clients_are_known_by_their_certificates() {
    let (authority, other) = (Authority::new(), Authority::new());
    let own = of(authority.certified_as("bot"));
    let mut files = files(&authority);
    for client_certificate in [ClientCertificate::Required, ClientCertificate::Optional] {
        files.client_authority = Some(ClientAuthority {
            certificates: authority.certificate(),
            client_certificate,
        });
        let server = ServerTls::load(files.clone(), Protocol::Http).unwrap();
        let (_, far) = connect(&client_of(&authority, Some(own.clone())), &server).unwrap();
        let identity = ClientIdentity::of(&far.peer_certificates().unwrap()[0]).unwrap();
        assert_eq!(identity.common_name.as_deref(), Some("bot"));

        let stranger = Some(certified(&other, "stranger"));
        connect(&client_of(&authority, stranger), &server).unwrap_err();
        let anonymous = connect(&client_of(&authority, None), &server);
        assert_eq!(
            anonymous.is_ok(),
            client_certificate == ClientCertificate::Optional
        );
    }
}

#[test]
fn nodes_speak_only_tls_1_3() {
    let authority = Authority::new();
    let server = ServerTls::load(files(&authority), Protocol::Replication).unwrap();
    let old = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(pem::authorities(&authority.certificate()).unwrap())
        .with_no_client_auth();
    let name = server_name("localhost").unwrap();
    let mut near = ClientConnection::new(Arc::new(old), name).unwrap();
    let mut far = ServerConnection::new(server.config()).unwrap();
    shake(&mut near, &mut far).unwrap_err();
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let authority = Authority::new();
    let own = certified(&authority, "server");
    let other = certified(&authority, "other");
    let encrypted = authority.path("encrypted.key");
    let text = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    fs::write(&encrypted, text).unwrap();
    let huge = authority.path("huge.pem");
    fs::write(&huge, vec![b'x'; 1024 * 1024 + 1]).unwrap();
    let cases: [(&Path, &Path, &Path, &str); 6] = [
        (&own.key, &own.key, &own.key, "no certificate in it"),
        (
            &own.certificates,
            &own.certificates,
            &own.certificates,
            "no private key in it",
        ),
        (
            &own.certificates,
            &other.key,
            &other.key,
            "does not belong to the first certificate",
        ),
        (&own.certificates, &encrypted, &encrypted, "openssl pkey"),
        (&huge, &own.key, &huge, "larger than 1048576 bytes"),
        (
            Path::new("/nowhere.pem"),
            &own.key,
            Path::new("/nowhere.pem"),
            "cannot read it",
        ),
    ];
    for (certificates, key, named, wanted) in cases {
        let own = Certified {
            certificates: certificates.to_owned(),
            key: key.to_owned(),
        };
        let files = ServerFiles {
            own,
            client_authority: None,
        };
        let error = ServerTls::load(files, Protocol::Http).unwrap_err();
        let TlsError::File { path, problem } = error else {
            panic!("{error}")
        };
        assert_eq!(path, named, "{problem}");
        assert!(problem.contains(wanted), "{problem}");
    }
    server_name("no name").unwrap_err();
}

#[test]
fn a_renewed_certificate_is_used_once_its_files_have_settled() -> io::Result<()> {
    let authority = Authority::new();
    let files = files(&authority);
    let server = ServerTls::load(files.clone(), Protocol::Http).unwrap();
    let serves = |wanted: &rustls::pki_types::CertificateDer<'_>| {
        let (client, _) = connect(&client_of(&authority, None), &server).unwrap();
        client.peer_certificates().unwrap()[0] == *wanted
    };
    let (old, new) = (
        pem::certificates(&files.own.certificates).unwrap(),
        authority.issue(|_| {}),
    );
    assert!(serves(&old[0]));

    // The new certificate is there, but not yet its key.
    fs::write(&files.own.certificates, &new.pem)?;
    server.reload_if_changed();
    server.reload_if_changed();
    assert!(serves(&old[0]), "a mismatch replaces nothing");
    fs::write(&files.own.key, &new.key_pem)?;
    server.reload_if_changed();
    assert!(serves(&old[0]), "the file may still be written");
    server.reload_if_changed();
    assert!(serves(&new.der.into()));
    Ok(())
}

#[test]
fn a_link_that_points_elsewhere_is_a_change() -> io::Result<()> {
    let authority = Authority::new();
    for version in ["1", "2"] {
        fs::create_dir(authority.path(version))?;
    }
    let first = certified(&authority, "1/tls");
    let second = certified(&authority, "2/tls");
    // As Kubernetes mounts a secret.
    std::os::unix::fs::symlink(authority.path("1"), authority.path("..data"))?;
    for name in ["tls.pem", "tls.key"] {
        std::os::unix::fs::symlink(Path::new("..data").join(name), authority.path(name))?;
    }
    let files = ServerFiles {
        own: Certified {
            certificates: authority.path("tls.pem"),
            key: authority.path("tls.key"),
        },
        client_authority: None,
    };
    let server = ServerTls::load(files, Protocol::Http).unwrap();
    let serves = |certified: &Certified| {
        let (client, _) = connect(&client_of(&authority, None), &server).unwrap();
        client.peer_certificates().unwrap() == pem::certificates(&certified.certificates).unwrap()
    };
    assert!(serves(&first));
    std::os::unix::fs::symlink(authority.path("2"), authority.path("..tmp"))?;
    fs::rename(authority.path("..tmp"), authority.path("..data"))?;
    server.reload_if_changed();
    server.reload_if_changed();
    assert!(serves(&second));
    Ok(())
}

#[test]
fn an_authority_that_is_removed_lets_no_client_in() -> io::Result<()> {
    let (authority, other) = (Authority::new(), Authority::new());
    let trusted = authority.path("trusted.pem");
    fs::copy(authority.certificate(), &trusted)?;
    let mut files = files(&authority);
    files.client_authority = Some(ClientAuthority {
        certificates: trusted.clone(),
        client_certificate: ClientCertificate::Required,
    });
    let server = ServerTls::load(files, Protocol::Http).unwrap();
    let client = client_of(&authority, Some(certified(&authority, "client")));
    connect(&client, &server).unwrap();
    fs::copy(other.certificate(), &trusted)?;
    server.reload_if_changed();
    server.reload_if_changed();
    connect(&client, &server).unwrap_err();
    Ok(())
}

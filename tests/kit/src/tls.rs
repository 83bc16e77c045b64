//! HTTP within TLS: the configurations of both ends, and a client.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use talos_tls::{
    Certified, ClientAuthority, ClientCertificate, ClientFiles, ClientTls, Protocol, ServerFiles,
    ServerTls, server_name,
};

use crate::certificates::{Authority, Files};
use crate::http::Connection;

/// A connection to a server within TLS.
pub type TlsConnection = Connection<StreamOwned<ClientConnection, TcpStream>>;

/// The files as the crates take them.
pub fn certified(files: Files) -> Certified {
    Certified {
        certificates: files.certificate,
        key: files.key,
    }
}

/// TLS of a server whose certificate `authority` issues. It asks clients for certificates of the
/// same authority as `clients` says.
pub fn server(authority: &Authority, clients: Option<ClientCertificate>) -> Arc<ServerTls> {
    let files = ServerFiles {
        own: certified(authority.certified("server")),
        client_authority: clients.map(|client_certificate| ClientAuthority {
            certificates: authority.certificate(),
            client_certificate,
        }),
    };
    Arc::new(ServerTls::load(files, Protocol::Http).unwrap())
}

/// TLS of a client that trusts only `authority`, with the certificate in `own`.
pub fn client(authority: &Authority, own: Option<Files>) -> Arc<ClientConfig> {
    let files = ClientFiles {
        authorities: Some(authority.certificate()),
        own: own.map(certified),
    };
    ClientTls::load(files, Protocol::Http).unwrap().config()
}

/// Connects, and completes the handshake.
///
/// # Errors
/// The error of the socket or of the handshake.
pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<TlsConnection> {
    let stream = Connection::open(address).sender();
    let name = server_name("localhost").unwrap();
    let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(Connection::over(stream))
}

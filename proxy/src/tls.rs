//! The TLS handshake with a client.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use crate::stall_timeout::StallTimeout;

/// A connection to a port that speaks TLS.
pub(crate) enum Accepted {
    /// The handshake is done.
    Tls(Box<TlsStream<StallTimeout<TcpStream>>>),
    /// The client speaks plain HTTP.
    Plain(StallTimeout<TcpStream>),
}

/// Waits for the first byte of a client and does the handshake. `stall` is the time after which a
/// connection without progress ends.
///
/// # Errors
/// When the client breaks off, speaks neither TLS nor HTTP, or has no certificate that is trusted.
pub(crate) async fn accept(
    config: Arc<ServerConfig>,
    stream: TcpStream,
    stall: Duration,
) -> io::Result<Accepted> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let stream = StallTimeout::new(stream, stall);
    // A handshake begins with the content type 22 (RFC 8446 §5.1), a request with a letter.
    if first.iter().all(u8::is_ascii_alphabetic) {
        return Ok(Accepted::Plain(stream));
    }
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    Ok(Accepted::Tls(Box::new(stream)))
}

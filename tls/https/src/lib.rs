//! The connections of hyper's client to servers with `http://` and `https://` URLs, for the edge
//! proxy and for replicas that pass requests on.
//!
//! Guarantees: a new connection uses the newest certificates and authorities; a server whose
//! certificate cannot be trusted gets no byte of a request.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use talos_tls::ClientTls;
use tokio::net::TcpStream;
use tower_service::Service;

/// Connects to servers, with TLS where the URL says `https`.
#[derive(Clone, Debug)]
pub struct Connector {
    tcp: HttpConnector,
    tls: Arc<ClientTls>,
}

impl Connector {
    /// A connector that spends at most `timeout` on each address of a server, without name
    /// resolution and TLS handshake.
    #[must_use]
    pub fn new(tls: Arc<ClientTls>, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(timeout));
        Self { tcp, tls }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = <HttpsConnector<HttpConnector> as Service<Uri>>::Error;
    type Future = <HttpsConnector<HttpConnector> as Service<Uri>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        HttpsConnector::from((self.tcp.clone(), self.tls.config())).call(url)
    }
}

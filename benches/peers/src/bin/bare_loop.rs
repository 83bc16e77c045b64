//! The data plane's loop without a verification: one task and one buffer per connection, every
//! complete request answered in one write. The answer is a constant.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use clap::Parser;
use monoio::buf::SliceMut;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpListener;
use monoio::{IoUringDriver, RuntimeBuilder};
use socket2::{Domain, Socket, Type};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BUFFER_BYTES: usize = 4 * 1024;
const FIELDS_MAX: usize = 64;

/// A loop that answers every request with the same bytes.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port on loopback.
    #[arg(long)]
    port: u16,
    /// A file with the whole answer, including its head.
    #[arg(long)]
    answer: PathBuf,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let answer: Rc<[u8]> = fs::read(&arguments.answer)?.into();
    let listener = listener(arguments.port)?;
    let mut ring = io_uring::IoUring::builder();
    ring.setup_single_issuer().setup_defer_taskrun();
    RuntimeBuilder::<IoUringDriver>::new()
        .uring_builder(ring)
        .enable_timer()
        .build()?
        .block_on(async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                monoio::spawn(serve(stream, Rc::clone(&answer)));
            }
        })
}

/// A blocking listener, as `io_uring` needs it. Accepted sockets inherit `TCP_NODELAY`.
fn listener(port: u16) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Answers until the client closes the connection or sends something else than a request.
async fn serve(mut stream: monoio::net::TcpStream, answer: Rc<[u8]>) -> io::Result<()> {
    let mut input = Vec::with_capacity(BUFFER_BYTES);
    let mut output = Vec::with_capacity(BUFFER_BYTES);
    loop {
        let (filled, capacity) = (input.len(), BUFFER_BYTES);
        let (read, slice) = stream.read(SliceMut::new(input, filled, capacity)).await;
        input = slice.into_inner();
        if read? == 0 {
            return Ok(());
        }
        let mut answered = 0;
        while let Some(length) = request_length(input.get(answered..).unwrap_or_default())? {
            answered += length;
            output.extend_from_slice(&answer);
        }
        input.drain(..answered);
        if !output.is_empty() {
            let written;
            (written, output) = stream.write_all(output).await;
            written?;
            output.clear();
        }
    }
}

/// The length of the first request, head and body. `None` while it is not complete.
fn request_length(input: &[u8]) -> io::Result<Option<usize>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let head = match request.parse(input) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::other(error)),
    };
    let body = request
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok())
        .unwrap_or(0);
    let length = head.saturating_add(body);
    if length > BUFFER_BYTES {
        return Err(io::Error::other("a request that does not fit the buffer"));
    }
    Ok((input.len() >= length).then_some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_complete_with_its_body() {
        let request = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        for length in 0..request.len() {
            assert_eq!(
                request_length(&request[..length]).unwrap(),
                None,
                "{length}"
            );
        }
        let two = [&request[..], &request[..]].concat();
        assert_eq!(request_length(&two).unwrap(), Some(request.len()));
        assert!(request_length(b"\0").is_err());
    }
}

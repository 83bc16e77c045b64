//! A TCP proxy between two nodes that can cut connections at any byte.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Listens, and forwards connections to a node.
pub struct FaultyProxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: Mutex<SocketAddr>,
    /// After how many bytes from the primary the next connections are cut.
    cuts: Mutex<VecDeque<usize>>,
    /// The most bytes from the primary that are forwarded at a time.
    chunk_bytes: usize,
    connections: watch::Sender<usize>,
    cut_all: watch::Sender<u64>,
}

impl FaultyProxy {
    /// Forwards to `target`. Cuts the first connections after this many bytes from there.
    pub async fn new(target: SocketAddr, cuts: &[usize], chunk_bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            cuts: Mutex::new(cuts.iter().copied().collect()),
            chunk_bytes,
            connections: watch::Sender::new(0),
            cut_all: watch::Sender::new(0),
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepting.connections.send_modify(|count| *count += 1);
                passing.spawn(pass(Arc::clone(&accepting), stream));
            }
        });
        Self { address, shared }
    }

    /// Cuts all open connections.
    pub fn cut_all(&self) {
        self.shared.cut_all.send_modify(|times| *times += 1);
    }

    /// Whether all cuts were made.
    pub fn made_all_cuts(&self) -> bool {
        self.shared.cuts.lock().unwrap().is_empty()
    }

    pub fn connections(&self) -> usize {
        *self.shared.connections.borrow()
    }

    pub fn set_target(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = target;
    }
}

async fn pass(shared: Arc<Shared>, near: TcpStream) {
    let mut cut_all = shared.cut_all.subscribe();
    let target = *shared.target.lock().unwrap();
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    far.set_nodelay(true).unwrap();
    near.set_nodelay(true).unwrap();
    let mut left = shared.cuts.lock().unwrap().pop_front();
    let (mut near_reads, mut near_writes) = near.into_split();
    let (mut far_reads, mut far_writes) = far.into_split();
    let up = async {
        let _ = tokio::io::copy(&mut near_reads, &mut far_writes).await;
        let _ = far_writes.shutdown().await;
    };
    let down = async {
        let mut buffer = vec![0; shared.chunk_bytes];
        loop {
            let most = left.unwrap_or(usize::MAX).min(buffer.len());
            if most == 0 {
                return;
            }
            match far_reads.read(&mut buffer[..most]).await {
                Ok(count) if count > 0 => {
                    if near_writes.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                    left = left.map(|left| left - count);
                }
                _ => return,
            }
        }
    };
    tokio::select! {
        () = async { tokio::join!(up, std::future::pending::<()>()); } => {}
        () = down => {}
        _ = cut_all.changed() => {}
    }
}

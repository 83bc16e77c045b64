//! A line between two nodes that can be cut anywhere.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Listens, and passes on what comes to a node behind.
pub struct Bridge {
    pub address: SocketAddr,
    line: Arc<Line>,
}

struct Line {
    target: Mutex<SocketAddr>,
    /// After how many bytes from the primary the next connections are cut.
    cuts: Mutex<VecDeque<usize>>,
    /// How many bytes from the primary are passed on at a time.
    piece: usize,
    connections: watch::Sender<usize>,
    severed: watch::Sender<u64>,
}

impl Bridge {
    /// To this node, cutting its first connections after so many bytes from there.
    pub async fn new(target: SocketAddr, cuts: &[usize], piece: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let line = Arc::new(Line {
            target: Mutex::new(target),
            cuts: Mutex::new(cuts.iter().copied().collect()),
            piece,
            connections: watch::Sender::new(0),
            severed: watch::Sender::new(0),
        });
        let accepting = Arc::clone(&line);
        tokio::spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepting.connections.send_modify(|count| *count += 1);
                passing.spawn(pass(Arc::clone(&accepting), stream));
            }
        });
        Self { address, line }
    }

    /// Ends the connections that there are.
    pub fn sever(&self) {
        self.line.severed.send_modify(|times| *times += 1);
    }

    /// Whether all cuts have been made.
    pub fn has_cut(&self) -> bool {
        self.line.cuts.lock().unwrap().is_empty()
    }

    pub fn connections(&self) -> usize {
        *self.line.connections.borrow()
    }

    pub fn lead_to(&self, target: SocketAddr) {
        *self.line.target.lock().unwrap() = target;
    }
}

async fn pass(line: Arc<Line>, near: TcpStream) {
    let mut severed = line.severed.subscribe();
    let target = *line.target.lock().unwrap();
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    far.set_nodelay(true).unwrap();
    near.set_nodelay(true).unwrap();
    let mut left = line.cuts.lock().unwrap().pop_front();
    let (mut near_reads, mut near_writes) = near.into_split();
    let (mut far_reads, mut far_writes) = far.into_split();
    let up = async {
        let _ = tokio::io::copy(&mut near_reads, &mut far_writes).await;
        let _ = far_writes.shutdown().await;
    };
    let down = async {
        let mut buffer = vec![0; line.piece];
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
        _ = severed.changed() => {}
    }
}

//! A relay that forwards all bytes between two nodes and records them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A relay. Its threads run until the process ends.
pub struct Relay {
    pub address: String,
    /// The bytes of each connection: those from the node that connected, and those that came back.
    pub connections: Arc<Mutex<Vec<Arc<Recorded>>>>,
}

#[derive(Default)]
pub struct Recorded {
    pub to_target: Mutex<Vec<u8>>,
    pub from_target: Mutex<Vec<u8>>,
}

impl Relay {
    /// A relay to the node that listens at `target`.
    pub fn new(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connections = Arc::<Mutex<Vec<Arc<Recorded>>>>::default();
        let all = Arc::clone(&connections);
        thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let Ok(far) = TcpStream::connect(&target) else {
                    continue;
                };
                let recorded = Arc::<Recorded>::default();
                all.lock().unwrap().push(Arc::clone(&recorded));
                let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
                let same = Arc::clone(&recorded);
                thread::spawn(move || pass(near, far, &recorded.to_target));
                thread::spawn(move || pass(back.0, back.1, &same.from_target));
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// All bytes so far, in both directions.
    pub fn everything(&self) -> Vec<u8> {
        let connections = self.connections.lock().unwrap();
        let both = connections.iter().flat_map(|recorded| {
            let to = recorded.to_target.lock().unwrap().clone();
            let from = recorded.from_target.lock().unwrap().clone();
            to.into_iter().chain(from)
        });
        both.collect()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, recorded: &Mutex<Vec<u8>>) {
    let mut piece = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        recorded.lock().unwrap().extend_from_slice(&piece[..count]);
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

//! A server behind a proxy that records what reaches it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A server that answers 200 to everything.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<Head>>>,
}

/// A head that reached the server.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method and the target.
    pub request: String,
    /// The fields, with names in lower case.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The values of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter().filter(|(field, _)| field == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }
}

impl Upstream {
    /// Starts it. It ends with the process.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || serve(stream.unwrap(), &seen));
            }
        });
        Self { address, heads }
    }

    /// What has reached it so far.
    pub fn heads(&self) -> Vec<Head> {
        self.heads.lock().unwrap().clone()
    }
}

/// Answers all requests of a connection. `None` = it has ended.
fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Head>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let head = read_head(&mut reader)?;
        let length = head
            .values("content-length")
            .first()
            .map_or(0, |length| length.parse().unwrap());
        let chunked = !head.values("transfer-encoding").is_empty();
        seen.lock().unwrap().push(head);
        reader.read_exact(&mut vec![0; length]).ok()?;
        let connection = if chunked { "close" } else { "keep-alive" };
        let answer =
            format!("HTTP/1.1 200 OK\r\nConnection: {connection}\r\nContent-Length: 2\r\n\r\n{{}}");
        stream.write_all(answer.as_bytes()).ok()?;
        if chunked {
            return None;
        }
    }
}

fn read_head(reader: &mut BufReader<TcpStream>) -> Option<Head> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let request = lines.next()?.strip_suffix(" HTTP/1.1")?.to_owned();
    let field = |line: String| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    Some(Head {
        request,
        fields: lines.map(field).collect(),
    })
}

use std::io::{Read as _, Write as _};

use rustls::{ClientConfig, ClientConnection};
use talos_test_kit::certificates::Authority;
use talos_test_kit::tls;
use talos_tls::{ClientCertificate, server_name};

use super::*;

/// A client and a session, and how the bytes between them are cut.
struct Pair {
    client: ClientConnection,
    session: Session,
    /// The most bytes that arrive at once.
    most: usize,
    /// What the session has decrypted.
    received: Vec<u8>,
    /// The most memory that the session has held.
    held_most: usize,
}

impl Pair {
    fn new(authority: &Authority, asks: bool, client: Arc<ClientConfig>, most: usize) -> Self {
        let clients = asks.then_some(ClientCertificate::Optional);
        let server = tls::server(authority, clients);
        let name = server_name("localhost").unwrap();
        Self {
            client: ClientConnection::new(client, name).unwrap(),
            session: Session::new(server.config(), asks).unwrap(),
            most,
            received: Vec::new(),
            held_most: 0,
        }
    }

    /// Carries bytes until neither end has any more, as the stream does.
    fn exchange(&mut self) -> Result<(), Failure> {
        loop {
            let mut to_session = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut to_session).unwrap();
            }
            self.deliver(&to_session)?;
            let to_client = self.session.take_outgoing();
            let mut rest = &to_client[..];
            while !rest.is_empty() {
                self.client.read_tls(&mut rest).unwrap();
                self.client.process_new_packets().unwrap();
            }
            self.session.put_outgoing(to_client);
            if to_session.is_empty() && !self.client.wants_write() {
                return Ok(());
            }
        }
    }

    fn deliver(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            let mut incoming = self.session.take_incoming()?;
            let room = incoming.capacity() - incoming.len();
            let (now, later) = bytes.split_at(bytes.len().min(room).min(self.most));
            incoming.extend_from_slice(now);
            bytes = later;
            self.session.put_incoming(incoming);
            self.decrypt()?;
        }
        Ok(())
    }

    fn decrypt(&mut self) -> Result<(), Failure> {
        loop {
            // Less room than a record has, so that some must wait.
            let mut input = Vec::with_capacity(1000);
            let step = self.session.advance(&mut input)?;
            assert!(input.capacity() <= 1000 || input.capacity() == input.len());
            self.held_most = self.held_most.max(self.session.held());
            self.received.extend_from_slice(&input);
            if matches!(step, Step::Receive | Step::End) {
                return Ok(());
            }
        }
    }

    /// Encrypts all of `bytes`, and returns what the client reads.
    fn answer(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut rest = bytes;
        let mut read = vec![0; bytes.len()];
        let mut at = 0;
        while !rest.is_empty() {
            let count = self.session.encrypt(rest).unwrap();
            rest = &rest[count..];
            let records = self.session.take_outgoing();
            assert!(records.len() <= limits::TLS_WRITE_BYTES + limits::TLS_WRITE_OVERHEAD);
            let mut records = &records[..];
            while !records.is_empty() {
                self.client.read_tls(&mut records).unwrap();
                let state = self.client.process_new_packets().unwrap();
                let end = at + state.plaintext_bytes_to_read();
                self.client.reader().read_exact(&mut read[at..end]).unwrap();
                at = end;
            }
        }
        read
    }
}

/// Not random, but without a pattern in it.
fn noise(length: usize) -> Vec<u8> {
    (0..length)
        .map(|n| (n * n / 7 + n).to_le_bytes()[0])
        .collect()
}

#[test]
fn bytes_pass_however_they_are_cut() {
    let authority = Authority::new();
    let config = tls::client(&authority, Some(authority.certified("client")));
    for asks in [false, true] {
        for most in [1, 4, 5, 6, 1000, 4096, 16_500, usize::MAX] {
            let mut pair = Pair::new(&authority, asks, Arc::clone(&config), most);
            pair.exchange().unwrap();
            assert!(!pair.session.is_handshaking() && !pair.client.is_handshaking());
            let sent = noise(70_000);
            for part in sent.chunks(60_000) {
                pair.client.writer().write_all(part).unwrap();
                pair.exchange().unwrap();
            }
            assert!(pair.received == sent, "{asks} {most}");
            let answer = noise(200_000);
            assert!(pair.answer(&answer) == answer);
            pair.client.send_close_notify();
            pair.exchange().unwrap();
            assert_eq!(pair.session.advance(&mut Vec::new()).unwrap(), Step::End);
            // The client may still read.
            assert!(pair.answer(&answer) == answer);
            pair.session.close().unwrap();
            pair.exchange().unwrap();
            let state = pair.client.process_new_packets().unwrap();
            assert!(state.peer_has_closed());
            assert!(
                pair.held_most <= 3 * limits::TLS_RECORD_BYTES,
                "{}",
                pair.held_most
            );
        }
    }
}

#[test]
fn an_answer_can_be_sent_while_a_request_waits_to_be_decrypted() {
    let authority = Authority::new();
    let config = tls::client(&authority, None);
    let mut pair = Pair::new(&authority, false, config, usize::MAX);
    pair.exchange().unwrap();
    let mut records = Vec::new();
    for part in noise(3000).chunks(1000) {
        pair.client.writer().write_all(part).unwrap();
        pair.client.write_tls(&mut records).unwrap();
    }
    let (first, half) = records.split_at(records.len() - 10);
    let mut incoming = pair.session.take_incoming().unwrap();
    incoming.extend_from_slice(first);
    pair.session.put_incoming(incoming);
    assert_eq!(pair.answer(b"early"), b"early");
    pair.deliver(half).unwrap();
    assert!(pair.received == noise(3000));
}

#[test]
fn keys_are_renewed_when_the_client_asks() {
    let authority = Authority::new();
    let config = tls::client(&authority, None);
    let mut pair = Pair::new(&authority, false, config, 7);
    pair.exchange().unwrap();
    for _ in 0..3 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.client.writer().write_all(b"question").unwrap();
        pair.exchange().unwrap();
        assert_eq!(pair.answer(b"answer"), b"answer");
    }
    assert_eq!(pair.received, b"questionquestionquestion");
}

#[test]
fn an_altered_record_ends_the_session_with_an_alert() {
    let authority = Authority::new();
    let config = tls::client(&authority, None);
    let mut pair = Pair::new(&authority, false, config, usize::MAX);
    pair.exchange().unwrap();
    pair.client.writer().write_all(b"question").unwrap();
    let mut records = Vec::new();
    pair.client.write_tls(&mut records).unwrap();
    *records.last_mut().unwrap() ^= 1;
    pair.deliver(&records).unwrap_err();
    assert_eq!(pair.received, b"");
    assert!(pair.session.has_outgoing());
    pair.session.encrypt(b"answer").unwrap_err();
    pair.session.close().unwrap_err();
    let alert = pair.session.take_outgoing();
    pair.client.read_tls(&mut &alert[..]).unwrap();
    let error = pair.client.process_new_packets().unwrap_err();
    assert!(matches!(error, rustls::Error::AlertReceived(_)), "{error}");
}

#[test]
fn garbage_and_endless_handshakes_are_refused() {
    let authority = Authority::new();
    let config = tls::client(&authority, None);
    let pair = || Pair::new(&authority, true, Arc::clone(&config), usize::MAX);
    for garbage in [
        &b"\x16\x03\x01\xff\xff"[..],
        b"\x80\x80\x01\x03\x01",
        &[0; 64],
        &[0xff; 64],
    ] {
        pair().deliver(garbage).unwrap_err();
    }
    // A message of the greatest length that never ends, in records of one byte.
    let mut pair = pair();
    let mut message = vec![0x16, 3, 1, 0, 4, 1, 0, 0xff, 0xff];
    for _ in 0..0xffff {
        message.extend_from_slice(&[0x16, 3, 1, 0, 1, 0]);
    }
    let failure = pair.deliver(&message).unwrap_err();
    assert!(matches!(failure, Failure::TooLarge), "{failure}");
    assert!(pair.session.held() <= limits::TLS_HANDSHAKE_BYTES);
}

#[test]
fn grown_buffers_are_freed_when_nothing_comes() {
    let authority = Authority::new();
    let config = tls::client(&authority, None);
    let mut pair = Pair::new(&authority, false, config, usize::MAX);
    pair.exchange().unwrap();
    pair.client.writer().write_all(&noise(30_000)).unwrap();
    pair.exchange().unwrap();
    pair.answer(&noise(30_000));
    pair.session.put_outgoing(Vec::with_capacity(100_000));
    assert!(pair.session.held() > 0);
    pair.session.shrink();
    assert_eq!(pair.session.held(), 0);
    pair.client.writer().write_all(b"question").unwrap();
    pair.exchange().unwrap();
    assert!(pair.received.ends_with(b"question"));
}

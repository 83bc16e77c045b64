//! What a page of another site can make the browser of a visitor send, and other protocols.

use super::{Composer, IMPORT, ISSUED};
use crate::hostile::attack::Attack;
use crate::hostile::script::Script;

/// Headers by which the server tells that a page of another site sends the request.
const MARKS: [&str; 5] = [
    "Origin: https://evil.example",
    "Origin: null",
    "Sec-Fetch-Site: cross-site",
    "Origin: http://localhost.evil.example\r\nCookie: a=b",
    "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors",
];
/// Types that a page can send without asking first, and the one that it cannot.
const TYPES: [&str; 4] = [
    "text/plain;charset=UTF-8",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json",
];
/// Names that a stranger can point at the server.
const FOREIGN_HOSTS: [&str; 3] = [
    "evil.example",
    "127.0.0.1.nip.example",
    "talos.evil.example",
];

impl Composer {
    /// A request that an administrator may send.
    pub(super) fn deed(&mut self) -> (&'static str, String, String) {
        let id = self.prey.ids.first().cloned().unwrap_or_default();
        let new = r#"{"name":"n","actor_id":"evil"}"#.to_owned();
        match self.between(0, 8) {
            0 => ("POST", ISSUED.to_owned(), new),
            1 => ("POST", "/keys".to_owned(), r#"{"name":"n"}"#.to_owned()),
            2 => {
                let item = r#"{"name":"n","actor_id":"evil","raw_key":"sk_evil"}"#;
                (
                    "POST",
                    IMPORT.to_owned(),
                    format!(r#"{{"requests":[{item}]}}"#),
                )
            }
            3 => {
                let path = "/v2alpha1/admin/apiKeys:revokeWhere".to_owned();
                (
                    "POST",
                    path,
                    r#"{"all":true,"actor_id":"load-v0"}"#.to_owned(),
                )
            }
            4 => ("POST", format!("{ISSUED}/{id}:revoke"), "{}".to_owned()),
            5 => ("POST", format!("{ISSUED}/{id}:rotate"), "{}".to_owned()),
            6 => {
                let path = "/v2alpha1/admin/replication:promote".to_owned();
                ("POST", path, r#"{"force":true}"#.to_owned())
            }
            7 => ("DELETE", format!("/keys/{id}"), String::new()),
            _ => ("GET", ISSUED.to_owned(), String::new()),
        }
    }

    pub(super) fn cross_site(&mut self) -> Script {
        let mut opening = String::new();
        for _ in 0..self.between(1, 4) {
            let (method, path, body) = self.deed();
            let kind = self.one_of(&TYPES, "text/plain");
            // Either another page at the server's own name, or a name of the stranger's.
            let (host, mark) = if self.between(0, 1) == 0 {
                let mark = self.one_of(&MARKS, "Origin: null");
                (self.prey.host.clone(), format!("{mark}\r\n"))
            } else {
                let host = self.one_of(&FOREIGN_HOSTS, "evil.example");
                (host.to_owned(), format!("Origin: http://{host}\r\n"))
            };
            let length = body.len();
            opening += &format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{mark}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        }
        Script::new(Attack::CrossSite, self.address(), opening.into_bytes())
    }

    pub(super) fn other_protocol(&mut self) -> Script {
        let opening = match self.between(0, 4) {
            0 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0".to_vec(),
            // The record and the handshake header of a ClientHello of 512 bytes, then noise.
            1 => {
                let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
                hello.extend((0..501).map(|_| self.octet(255)));
                hello
            }
            2 => b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
            3 => b"*1\r\n$4\r\nPING\r\n".to_vec(),
            _ => (0..self.between(1, 4_000))
                .map(|_| self.octet(255))
                .collect(),
        };
        Script::new(Attack::OtherProtocol, self.address(), opening)
    }
}

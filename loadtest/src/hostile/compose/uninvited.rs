//! Clients that act as administrators and have no right to.

use super::Composer;
use crate::hostile::attack::Attack;
use crate::hostile::script::Script;

impl Composer {
    /// Header fields that prove nothing.
    fn forged_credentials(&mut self) -> String {
        let guess = self.letters(44);
        let known = self.prey.heavy.first().cloned().unwrap_or_default();
        match self.between(0, 9) {
            0 => String::new(),
            1 => format!("Authorization: Bearer talos_admin_{guess}\r\n"),
            2 => format!("X-Talos-Token: talos_admin_{guess}\r\n"),
            // The credential of a key is no token.
            3 => format!("Authorization: Bearer {known}\r\n"),
            4 => format!("Authorization: Basic {guess}\r\n"),
            5 => "Authorization: Bearer \r\n".to_owned(),
            6 => {
                let other = self.letters(44);
                format!("Authorization: Bearer {guess}\r\nAuthorization: Bearer {other}\r\n")
            }
            7 => "X-Talos-Token: \r\nX-Talos-Token: admin\r\n".to_owned(),
            // What another node would say.
            8 => format!("Talos-Forwarded: 1\r\nTalos-Forwarded-Client: {guess}\r\n"),
            _ => format!(
                "X-Forwarded-For: 127.0.0.1\r\nX-Talos-Token: {}\r\n",
                "x".repeat(4_000)
            ),
        }
    }

    pub(super) fn uninvited(&mut self) -> Script {
        let host = self.prey.host.clone();
        let mut opening = String::new();
        for _ in 0..self.between(1, 4) {
            let (method, path, body) = self.deed();
            let (credentials, length) = (self.forged_credentials(), body.len());
            opening += &format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{credentials}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        }
        Script::new(Attack::Uninvited, self.address(), opening.into_bytes())
    }
}

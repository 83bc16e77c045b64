//! A network of namespaces on one bridge, and the faults that it can have. Needs root, iproute2 and
//! nftables.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// The namespaces; they are removed when this is dropped.
pub struct Network {
    prefix: String,
    nodes: u8,
}

/// What happens to the packets of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// All packets are lost.
    Drop,
    /// Connections are torn down.
    Reset,
    /// One packet of ten is lost, in each direction.
    Loss,
    /// All incoming packets are lost.
    Deaf,
    /// All outgoing packets are lost.
    Mute,
}

pub const FAULTS: [Fault; 5] = [
    Fault::Drop,
    Fault::Reset,
    Fault::Loss,
    Fault::Deaf,
    Fault::Mute,
];

impl Network {
    /// A network of `nodes` nodes.
    pub fn new(nodes: u8) -> Self {
        let network = Self {
            prefix: format!("talos-{}", std::process::id()),
            nodes,
        };
        let hub = network.hub();
        ip(&["netns", "add", &hub]);
        ip(&["-n", &hub, "link", "add", "bridge", "type", "bridge"]);
        ip(&["-n", &hub, "link", "set", "bridge", "up"]);
        for node in 1..=nodes {
            let (namespace, port) = (network.namespace(node), format!("port{node}"));
            ip(&["netns", "add", &namespace]);
            ip(&[
                "-n", &hub, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns",
                &namespace,
            ]);
            ip(&["-n", &hub, "link", "set", &port, "master", "bridge"]);
            ip(&["-n", &hub, "link", "set", &port, "up"]);
            let address = format!("{}/24", host(node));
            ip(&["-n", &namespace, "address", "add", &address, "dev", "eth0"]);
            ip(&["-n", &namespace, "link", "set", "lo", "up"]);
            ip(&["-n", &namespace, "link", "set", "eth0", "up"]);
        }
        network
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.prefix)
    }

    pub fn namespace(&self, node: u8) -> String {
        format!("{}-{node}", self.prefix)
    }

    /// Lets a node have this fault until [`Network::heal`].
    pub fn harm(&self, node: u8, fault: Fault) {
        let (input, output) = match fault {
            Fault::Drop => ("drop", "drop"),
            Fault::Reset => (
                "meta l4proto tcp reject with tcp reset",
                "meta l4proto tcp reject with tcp reset",
            ),
            Fault::Loss => (
                "numgen random mod 10 == 0 drop",
                "numgen random mod 10 == 0 drop",
            ),
            Fault::Deaf => ("drop", "accept"),
            Fault::Mute => ("accept", "drop"),
        };
        self.rules(
            node,
            &format!(
                "add table inet fault\n\
                 add chain inet fault in {{ type filter hook input priority 0; }}\n\
                 add chain inet fault out {{ type filter hook output priority 0; }}\n\
                 add rule inet fault in iifname eth0 {input}\n\
                 add rule inet fault out oifname eth0 {output}\n"
            ),
        );
    }

    /// Ends the fault of a node.
    pub fn heal(&self, node: u8) {
        self.rules(node, "flush ruleset\n");
    }

    fn rules(&self, node: u8, rules: &str) {
        let mut nft = Command::new("ip")
            .args(["netns", "exec", &self.namespace(node), "nft", "-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("ip, of iproute2");
        let mut input = nft.stdin.take().unwrap();
        input.write_all(rules.as_bytes()).unwrap();
        drop(input);
        assert!(nft.wait().unwrap().success(), "nft, of nftables: {rules}");
    }
}

/// The address of a node.
pub fn host(node: u8) -> String {
    format!("10.99.0.{node}")
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in (1..=self.nodes).map(|node| self.namespace(node)) {
            let _ = Command::new("ip")
                .args(["netns", "del", &namespace])
                .status();
        }
        let _ = Command::new("ip")
            .args(["netns", "del", &self.hub()])
            .status();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output();
    let output = output.expect("ip, of iproute2");
    assert!(
        output.status.success(),
        "ip {}: {}(network namespaces need root)",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}

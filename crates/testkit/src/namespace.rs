//! A network of its own for one worker, with a wire to this machine on which packets can be dropped.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::proxy::Way;

/// The last network that was handed out by this process.
static LAST: AtomicU8 = AtomicU8::new(0);

/// A network namespace. It is removed when it is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    host: Ipv4Addr,
}

impl Namespace {
    /// Makes one; says why that is impossible here: it takes root, and a kernel and tools that can.
    pub fn new() -> Result<Self, String> {
        let (process, number) = (std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        let name = format!("zhongkong-{process}-{number}");
        // Two processes that test at the same time must not meet.
        let second = 64 + u8::try_from(process % 128).expect("less than 128");
        let host = Ipv4Addr::new(10, second, number, 1);
        let worker = Ipv4Addr::new(10, second, number, 2);
        run("ip", &["netns", "add", &name])?;
        let namespace = Self { name, host };
        let name = namespace.name.as_str();
        let (here, there) =
            (format!("zk{process:x}{number:x}h"), format!("zk{process:x}{number:x}w"));
        run("ip", &["link", "add", &here, "type", "veth", "peer", "name", &there])?;
        run("ip", &["link", "set", &there, "netns", name])?;
        run("ip", &["address", "add", &format!("{host}/30"), "dev", &here])?;
        run("ip", &["link", "set", &here, "up"])?;
        run("ip", &["-n", name, "address", "add", &format!("{worker}/30"), "dev", &there])?;
        run("ip", &["-n", name, "link", "set", &there, "up"])?;
        run("ip", &["-n", name, "link", "set", "lo", "up"])?;
        // Tried now, so that nothing is found to be impossible later.
        namespace.heal()?;
        Ok(namespace)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// This machine's address on the wire.
    pub const fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// Whatever is run in it finds this machine under these names, as `ip netns exec` arranges.
    pub fn host_is_called(&self, names: &[&str]) {
        let folder = names_of(&self.name);
        std::fs::create_dir_all(&folder).unwrap();
        let lines = format!("127.0.0.1 localhost\n{} {}\n", self.host, names.join(" "));
        std::fs::write(folder.join("hosts"), lines).unwrap();
    }

    /// Packets to this port (of this machine), or from there back, are dropped until [`Self::heal`].
    pub fn lose(&self, way: Way, port: u16) {
        let port = port.to_string();
        let rule = match way {
            Way::There => ["-A", "OUTPUT", "-p", "tcp", "--dport", &port, "-j", "DROP"],
            Way::Back => ["-A", "INPUT", "-p", "tcp", "--sport", &port, "-j", "DROP"],
        };
        self.iptables(&rule).unwrap();
    }

    /// No packet is dropped any more; what was lost is sent again, as TCP does.
    pub fn heal(&self) -> Result<(), String> {
        self.iptables(&["-F"])
    }

    fn iptables(&self, rule: &[&str]) -> Result<(), String> {
        let within = ["netns", "exec", &self.name, "iptables", "-w"];
        run("ip", &[&within, rule].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The wire goes with it. Nothing can be done if it stays.
        drop(run("ip", &["netns", "delete", &self.name]));
        drop(std::fs::remove_dir_all(names_of(&self.name)));
    }
}

/// Where `ip netns exec` looks for the files that take the place of those in `/etc`.
fn names_of(namespace: &str) -> PathBuf {
    Path::new("/etc/netns").join(namespace)
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}", arguments.join(" "), said.trim()))
}

//! Ports for servers of one's own.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below what systems give to outgoing connections (Linux: from 32768), so that a port stays free
/// while its server is down, and a connection to it can never meet itself.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

static HANDED_OUT: AtomicU16 = AtomicU16::new(0);

/// A port of the loopback address that nobody uses now, and that this process gives to nobody else.
pub fn free_port() -> u16 {
    // Processes begin at different places: two that test at the same time must not meet.
    let start = std::process::id().wrapping_mul(611);
    for _ in 0..COUNT {
        let step = u32::from(HANDED_OUT.fetch_add(1, Ordering::Relaxed));
        let offset = start.wrapping_add(step) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).expect("less than COUNT");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free between {FIRST} and {}", FIRST + COUNT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once() {
        let ports: std::collections::HashSet<u16> = (0..200).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 200);
    }
}

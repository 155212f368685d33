//! The laboratory itself, without the filter: what the other tests rely on.
#![cfg(test)]

use std::net::SocketAddr;
use std::time::Duration;

use filter_lab::caller::Caller;
use filter_lab::frame::{DOT1AD, DOT1Q, Frame, Tag};
use filter_lab::namespace::Namespace;
use filter_lab::packet::Packet;
use filter_lab::packet_socket::PacketSocket;
use filter_lab::process::{self, Process};
use filter_lab::sip_server::{PORT, SipServer};
use filter_lab::wait;
use filter_lab::wire::{self, End, Family, WireOptions};
use rstest::rstest;

/// A wire without a filter or a server.
struct Wire {
    outside: Namespace,
    inside: Namespace,
}

impl Wire {
    fn new(options: WireOptions) -> Self {
        let (outside, inside) = (Namespace::new(), Namespace::new());
        wire::connect(&outside, &inside, options);
        Self { outside, inside }
    }

    fn quiet() -> Self {
        Self::new(WireOptions { quiet: true, ..WireOptions::default() })
    }

    /// Opens packet sockets at the caller's end and at the proxy's.
    fn packet_sockets(&self) -> (PacketSocket, PacketSocket) {
        let open = |namespace, end: End| PacketSocket::open(namespace, end.interface());
        (open(&self.outside, End::Caller), open(&self.inside, End::Proxy))
    }
}

/// Creates a frame from the caller to the proxy.
fn frame(tags: &[Tag]) -> Frame {
    Frame {
        source_mac: End::Caller.mac(),
        destination_mac: End::Proxy.mac(),
        tags: tags.to_vec(),
        ipv4_options: Vec::new(),
        ipv6_extensions: Vec::new(),
        source: SocketAddr::new(End::Caller.address(Family::V4), 5062),
        destination: SocketAddr::new(End::Proxy.address(Family::V4), 9),
        payload: b"hello".to_vec(),
        padding: 0,
    }
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn call_is_established_and_ended_between_two_namespaces(#[case] family: Family) {
    let wire = Wire::new(WireOptions::default());
    let server = SipServer::start(&wire.inside, PORT);
    let proxy = SocketAddr::new(End::Proxy.address(family), PORT);
    let caller = Caller::new(&wire.outside, SocketAddr::new(End::Caller.address(family), 0), proxy);

    let mut call = caller.establish_call();
    server.wait_for("ACK", &call.call_id);
    caller.reinvite(&mut call);
    caller.bye(&mut call);

    let seen: Vec<_> = server.requests().iter().filter_map(|request| request.method().map(str::to_owned)).collect();
    assert_eq!(seen, ["INVITE", "ACK", "INVITE", "ACK", "BYE"]);
}

#[rstest]
#[case::plain(&[])]
#[case::vlan(&[(DOT1Q, 0x602a)])]
#[case::qinq(&[(DOT1AD, 7), (DOT1Q, 42)])]
fn frame_arrives_with_its_vlan_tags(#[case] tags: &[Tag]) {
    let wire = Wire::quiet();
    let (sender, receiver) = wire.packet_sockets();
    sender.send(&frame(tags).to_bytes());
    let packet = receiver.receive_packet(Duration::from_secs(1), |_| true).expect("the frame");
    assert_eq!(packet.tags, tags);
    assert_eq!(packet.payload, b"hello");
}

/// A wire that is not quiet, connected after the quiet one, shows that enough time has passed for the kernel to send
/// something unasked.
#[test]
fn quiet_wire_carries_only_what_is_sent() {
    let quiet = Wire::quiet();
    let (sender, receiver) = quiet.packet_sockets();
    let control = Wire::new(WireOptions::default());
    let (_, control) = control.packet_sockets();
    control.receive(Duration::from_secs(10)).expect("a frame on the wire that is not quiet");

    sender.send(&frame(&[]).to_bytes());
    let first = receiver.receive(Duration::from_secs(1)).expect("the frame");
    let first = Packet::parse(&first).expect("a sound frame").expect("a UDP packet");
    assert_eq!(first.payload, b"hello");
}

#[test]
fn namespace_and_its_links_are_removed_with_the_last_handle() {
    let outside = Namespace::new();
    let inside = Namespace::new();
    wire::connect(&outside, &inside, WireOptions::default());
    drop(inside);
    // The peer is removed with the namespace of the other end.
    wait::until("the link to be removed", Duration::from_secs(5), || {
        !outside.ip("link show").contains(End::Caller.interface())
    });
}

#[test]
fn child_is_killed_when_its_process_value_is_dropped() {
    let namespace = Namespace::new();
    let child = Process::spawn(namespace.command("sleep").arg("1000"));
    let path = format!("/proc/{}", child.pid());
    assert!(std::fs::exists(&path).unwrap());
    drop(child);
    assert!(!std::fs::exists(&path).unwrap());
}

#[test]
fn child_is_killed_when_the_thread_that_started_it_ends() {
    let namespace = Namespace::new();
    let start = || Process::spawn(namespace.command("sleep").arg("1000"));
    let mut child = std::thread::scope(|scope| scope.spawn(start).join()).expect("the child");
    // The value has not been dropped: the kernel kills the child, as it does when the whole process is killed.
    let status = child.wait(Duration::from_secs(5));
    assert_eq!(process::describe(status), "killed by signal 9");
}

#[test]
#[should_panic(expected = "`no-such-tool` is not installed: run `cargo xtask setup`")]
fn missing_tool_is_reported_with_the_command_that_installs_it() {
    Namespace::new().exec("no-such-tool --version");
}

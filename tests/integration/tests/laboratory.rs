//! The laboratory itself, without the filter: what the other tests rely on.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use filter_lab::caller::Caller;
use filter_lab::frame::{DOT1AD, DOT1Q, Frame};
use filter_lab::namespace::Namespace;
use filter_lab::packet_socket::PacketSocket;
use filter_lab::process::Process;
use filter_lab::server::{PORT, Server};
use filter_lab::wire::{self, End, Family, WireOptions};
use rstest::rstest;

struct Wired {
    outside: Namespace,
    inside: Namespace,
}

fn wired(options: WireOptions) -> Result<Wired> {
    let (outside, inside) = (Namespace::new()?, Namespace::new()?);
    wire::lay(&outside, &inside, options)?;
    Ok(Wired { outside, inside })
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn a_call_goes_up_and_down_between_two_namespaces(#[case] family: Family) -> Result<()> {
    let lab = wired(WireOptions::default())?;
    let server = Server::start(&lab.inside, PORT)?;
    let proxy = SocketAddr::new(End::Proxy.address(family), PORT);
    let caller = Caller::new(&lab.outside, SocketAddr::new(End::Caller.address(family), 0), proxy)?;

    let mut call = caller.call_up()?;
    server.wait_for("ACK", &call.call_id)?;
    caller.reinvite(&mut call)?;
    caller.bye(&mut call)?;

    let seen: Vec<_> = server.requests().iter().filter_map(|request| request.method().map(str::to_owned)).collect();
    assert_eq!(seen, ["INVITE", "ACK", "INVITE", "ACK", "BYE"]);
    Ok(())
}

#[rstest]
#[case::plain(&[])]
#[case::vlan(&[(DOT1Q, 0x602a)])]
#[case::qinq(&[(DOT1AD, 7), (DOT1Q, 42)])]
fn a_frame_arrives_with_its_tags(#[case] tags: &[(u16, u16)]) -> Result<()> {
    let lab = wired(WireOptions { quiet: true, ..WireOptions::default() })?;
    let sender = PacketSocket::open(&lab.outside, End::Caller.interface())?;
    let receiver = PacketSocket::open(&lab.inside, End::Proxy.interface())?;
    let frame = Frame {
        source_mac: End::Caller.mac(),
        destination_mac: End::Proxy.mac(),
        tags: tags.to_vec(),
        ipv4_options: Vec::new(),
        ipv6_extensions: Vec::new(),
        source: SocketAddr::new(End::Caller.address(Family::V4), 5062),
        destination: SocketAddr::new(End::Proxy.address(Family::V4), 9),
        payload: b"hello".to_vec(),
        padding: 0,
    };
    sender.send(&frame.to_bytes()?)?;
    let packet = receiver.receive_packet(Duration::from_secs(1), |_| true)?.context("nothing came")?;
    assert_eq!(packet.tags, tags);
    assert_eq!(packet.payload, b"hello");
    Ok(())
}

#[test]
fn a_quiet_wire_carries_nothing_but_what_is_sent() -> Result<()> {
    let lab = wired(WireOptions { quiet: true, ..WireOptions::default() })?;
    let listener = PacketSocket::open(&lab.inside, End::Proxy.interface())?;
    assert_eq!(listener.receive(Duration::from_millis(1500))?, None);
    Ok(())
}

#[test]
fn a_namespace_and_its_links_are_gone_when_nobody_holds_them() -> Result<()> {
    let outside = Namespace::new()?;
    let inside = Namespace::new()?;
    wire::lay(&outside, &inside, WireOptions::default())?;
    drop(inside);
    // The peer goes with the namespace of the other end.
    filter_lab::wait::until("the link to go", Duration::from_secs(5), || {
        Ok(!outside.ip("link show")?.contains(End::Caller.interface()))
    })?;
    Ok(())
}

#[test]
fn a_child_is_killed_with_its_guard() -> Result<()> {
    let namespace = Namespace::new()?;
    let child = Process::spawn(namespace.command("sleep").arg("1000"))?;
    let path = format!("/proc/{}", child.pid());
    assert!(std::fs::exists(&path)?);
    drop(child);
    assert!(!std::fs::exists(&path)?);
    Ok(())
}

#[test]
fn a_child_is_killed_when_the_thread_that_started_it_is_gone() -> Result<()> {
    let namespace = Namespace::new()?;
    let start = || Process::spawn(namespace.command("sleep").arg("1000"));
    let mut child = std::thread::scope(|scope| scope.spawn(start).join().expect("no panic in there"))?;
    // The guard has not been dropped: it is the kernel that kills, as it does when the whole process is killed.
    let status = child.wait(Duration::from_secs(5))?;
    assert_eq!(filter_lab::process::describe(status), "killed by signal 9");
    Ok(())
}

#[test]
fn a_missing_tool_is_an_error_that_says_what_to_do() -> Result<()> {
    let error = Namespace::new()?.sh("no-such-tool --version").expect_err("there is no such tool");
    let text = format!("{error:#}");
    assert!(text.contains("`no-such-tool` is not installed") && text.contains("cargo xtask setup"), "{text}");
    Ok(())
}

//! A loaded XDP program with everything it needs, and the packets to run it on.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::LazyLock;
use std::time::Duration;

use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use filter_common::maps::{AddressKind, InterfaceState, Policy, QueueKey, QueueState, TRANSACTION_NS, mac_number};
use filter_common::sip::{Decision, Method, Request};
use filter_common::verdict::Verdict;
use filter_lab::af_xdp;
use filter_lab::frame::Frame;
use filter_user::dataplane::{Lists, Ownership, OwnershipMaps, Program, ProgramSettings};
use filter_user::domain::{self, Shielded};
use nix::time::{ClockId, clock_gettime};

pub(crate) const XDP_DROP: u32 = 1;
pub(crate) const XDP_PASS: u32 = 2;
pub(crate) const XDP_REDIRECT: u32 = 4;

/// Prefix of our To tags.
pub(crate) const TAG_PREFIX: [u8; 8] = *b"ourtag01";

/// MAC address of the proxy.
pub(crate) const PROXY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// RX queue that `BPF_PROG_TEST_RUN` reports for a packet: queue 0 of the loopback interface, whose index is 1 in every
/// network namespace.
pub(crate) const TEST_QUEUE: QueueKey = QueueKey { ifindex: 1, queue: 0 };

/// Slot of the XSKMAP that holds the socket.
const SOCKET_SLOT: u32 = 0;
/// Slot of the XSKMAP that is empty.
const EMPTY_SLOT: u32 = 1;

/// Length of the leases that the tests grant.
const LEASE: Duration = Duration::from_hours(1);

/// AF_XDP socket in the XSKMAPs of all rigs.
static SOCKET: LazyLock<OwnedFd> = LazyLock::new(|| af_xdp::bound_socket());

/// The XDP program, loaded for port 5060, with the policy of the test.
pub(crate) struct Rig {
    program: Program,
    policy: Policy,
    ownership: OwnershipMaps,
    owned: Ownership,
}

/// Loads the program for port 5060, with room for `transactions` transactions in each cache.
#[track_caller]
pub(crate) fn load(transactions: u32, shielded: &Shielded) -> Program {
    let hash_seed = 0x0123_4567_89ab_cdef;
    let settings = ProgramSettings { ports: &[5060], transactions, hash_seed, shielded, debug: false };
    Program::load(&settings).unwrap_or_else(|error| panic!("load the XDP program, which requires root: {error}"))
}

impl Rig {
    /// Creates a rig without maintenance and without a lease.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::with_transactions(1024)
    }

    /// Creates a rig without maintenance and without a lease, with room for `transactions` transactions in each cache.
    #[track_caller]
    pub(crate) fn with_transactions(transactions: u32) -> Self {
        Self::with_settings(transactions, &Shielded::Local)
    }

    #[track_caller]
    fn with_settings(transactions: u32, shielded: &Shielded) -> Self {
        let mut program = load(transactions, shielded);
        program.set_socket(SOCKET_SLOT, &*SOCKET).expect("put the socket into the XSKMAP");
        let policy = Policy {
            maintenance: 0,
            methods: Method::Invite.bit(),
            percent: 100,
            lists: 0,
            tag_prefix: u64::from_le_bytes(TAG_PREFIX),
            emergency: [u64::MAX; 2],
            ..Policy::default()
        };
        let ownership = program.take_ownership().expect("take the maps of what is this host's");
        let mut rig = Self { program, policy, ownership, owned: Ownership::default() };
        rig.set_policy(|_| {});
        rig.own(|owned| {
            let mac = mac_number(PROXY_MAC);
            owned.interfaces.insert(TEST_QUEUE.ifindex, InterfaceState { mac, mtu: 65_535, flags: 0 });
            for address in ["198.18.0.2", "2001:db8::2"] {
                owned.addresses.insert(words(address), AddressKind::Own as u32);
            }
        });
        rig
    }

    /// Changes what is this host's.
    #[track_caller]
    pub(crate) fn own(&mut self, change: impl FnOnce(&mut Ownership)) {
        change(&mut self.owned);
        self.ownership.write(self.owned.clone()).expect("write what is this host's");
    }

    /// Sets flags of the interface on which the packets arrive, and its MTU.
    #[track_caller]
    pub(crate) fn set_interface(&mut self, flags: u32, mtu: u32) {
        let mac = mac_number(PROXY_MAC);
        self.own(|owned| _ = owned.interfaces.insert(TEST_QUEUE.ifindex, InterfaceState { mac, mtu, flags }));
    }

    /// Creates a rig that refuses new calls to these addresses.
    #[track_caller]
    pub(crate) fn shielding(shielded: &Shielded) -> Self {
        let mut rig = Self::with_settings(1024, shielded);
        rig.set_maintenance(true);
        rig.grant_lease();
        rig
    }

    /// Creates a rig that refuses new calls: maintenance is on, and the lease is valid.
    #[track_caller]
    pub(crate) fn in_maintenance() -> Self {
        let mut rig = Self::new();
        rig.set_maintenance(true);
        rig.grant_lease();
        rig
    }

    /// Changes the policy and puts it in force.
    #[track_caller]
    pub(crate) fn set_policy(&mut self, change: impl FnOnce(&mut Policy)) {
        change(&mut self.policy);
        let policy = self.policy;
        self.program.set_policy(policy).unwrap_or_else(|error| panic!("put {policy:?} in force: {error}"));
    }

    /// Switches maintenance on or off. Switching off leaves no tail; [`end_maintenance`](Self::end_maintenance) does.
    #[track_caller]
    pub(crate) fn set_maintenance(&mut self, on: bool) {
        self.set_policy(|policy| policy.maintenance = on.into());
    }

    /// Ends maintenance now, so that the 32 s tail begins.
    #[track_caller]
    pub(crate) fn end_maintenance(&mut self) {
        let until = now_ns() + TRANSACTION_NS;
        self.set_policy(|policy| {
            policy.maintenance = 0;
            policy.tail_until_ns = until;
        });
    }

    /// Moves the end of the 32 s tail to now.
    #[track_caller]
    pub(crate) fn end_tail(&mut self) {
        self.set_policy(|policy| policy.tail_until_ns = now_ns());
    }

    /// Puts the bypass prefixes, the emergency numbers and the scope of `policy` in force.
    #[track_caller]
    pub(crate) fn set_lists(&mut self, policy: &domain::Policy) {
        let lists = Lists::from(policy);
        self.program.lists().replace(&lists).unwrap_or_else(|error| panic!("set {lists:?}: {error}"));
        self.set_policy(|in_force| {
            in_force.lists = lists.bits(policy.scope.is_some());
            in_force.emergency = lists.emergency_bits();
        });
    }

    /// Grants the responder of the queue a lease that outlasts the test.
    #[track_caller]
    pub(crate) fn grant_lease(&self) {
        self.set_queue(SOCKET_SLOT, now_ns() + LEASE.as_nanos() as u64);
    }

    /// Moves the end of the lease to now.
    #[track_caller]
    pub(crate) fn expire_lease(&self) {
        self.set_queue(SOCKET_SLOT, now_ns());
    }

    /// Grants a lease on a slot of the XSKMAP that has no socket.
    #[track_caller]
    pub(crate) fn lease_empty_slot(&self) {
        self.set_queue(EMPTY_SLOT, u64::MAX);
    }

    #[track_caller]
    fn set_queue(&self, socket: u32, redirect_until_ns: u64) {
        let state = QueueState { redirect_until_ns, socket, reserved: 0 };
        let mut queues = self.program.queues().expect("open the map of queues");
        queues.insert(TEST_QUEUE, state, 0).unwrap_or_else(|error| panic!("set {TEST_QUEUE:?} to {state:?}: {error}"));
    }

    /// Runs the program once on `packet` and returns its XDP action. Does not check the counters.
    #[track_caller]
    pub(crate) fn action(&mut self, packet: &[u8]) -> u32 {
        let program = self.program.ebpf().program("sip_filter").expect("find the program sip_filter in the object");
        let program: &Xdp = program.try_into().expect("sip_filter is an XDP program");
        let options = TestRunOptions { data_in: Some(packet), ..TestRunOptions::default() };
        match program.test_run(options) {
            Ok(result) => result.return_value,
            Err(error) => panic!("BPF_PROG_TEST_RUN on {} bytes, {}: {error}", packet.len(), packet.escape_ascii()),
        }
    }

    /// Runs the program once on `packet` and returns the verdict.
    ///
    /// # Panics
    ///
    /// If the program does not count exactly one verdict, or returns an action that does not belong to it.
    #[track_caller]
    pub(crate) fn verdict(&mut self, packet: &[u8]) -> Verdict {
        let before = self.verdicts();
        let action = self.action(packet);
        let counted: Vec<Verdict> = before
            .iter()
            .zip(self.verdicts())
            .flat_map(|((verdict, before), (_, after))| vec![*verdict; (after - before) as usize])
            .collect();
        let [verdict] = counted[..] else {
            panic!("counted under {counted:?} and not once: {}", packet.escape_ascii());
        };
        let expected = if verdict.is_redirect() {
            XDP_REDIRECT
        } else if verdict == Verdict::AckAbsorbed {
            XDP_DROP
        } else {
            XDP_PASS
        };
        assert_eq!(action, expected, "XDP action of a packet counted as {verdict:?}: {}", packet.escape_ascii());
        verdict
    }

    /// Returns the number of packets counted under each verdict.
    #[track_caller]
    pub(crate) fn verdicts(&self) -> Vec<(Verdict, u64)> {
        self.program.verdicts().read().expect("read the map of verdicts")
    }
}

/// Returns the time by the clock of the XDP program (`bpf_ktime_get_coarse_ns()`), in nanoseconds.
///
/// Not `CLOCK_MONOTONIC`, which runs up to 10 ms ahead of it: a lease that ends now by that clock would still be valid.
fn now_ns() -> u64 {
    let now: Duration = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).expect("read CLOCK_MONOTONIC_COARSE").into();
    now.as_nanos() as u64
}

/// Returns the verdict on a message that the host grammar reads as `request`, if only INVITE is refused and no source
/// or user part is exempt.
pub(crate) fn expected_verdict(request: Option<Request>) -> Verdict {
    match request {
        Some(Request { method: Method::Invite, decision, .. }) => match decision {
            Decision::New => Verdict::Redirected,
            Decision::InDialog => Verdict::InDialog,
            Decision::Undecided => Verdict::Undecided,
            Decision::Emergency => Verdict::Emergency,
            Decision::Replaces => Verdict::Replaces,
        },
        _ => Verdict::NotInvite,
    }
}

/// Returns an IPv4 packet from the caller to the proxy.
#[track_caller]
pub(crate) fn ipv4(payload: &[u8]) -> Vec<u8> {
    bytes(&ipv4_frame(payload))
}

/// Returns an IPv6 packet from the caller to the proxy.
#[track_caller]
pub(crate) fn ipv6(payload: &[u8]) -> Vec<u8> {
    bytes(&ipv6_frame(payload))
}

/// Returns a packet from `source` to `destination`, each an address with a port.
#[track_caller]
pub(crate) fn packet(source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
    bytes(&frame(source, destination, payload))
}

/// Returns an IPv4 frame from the caller to the proxy, for a test to change.
#[track_caller]
pub(crate) fn ipv4_frame(payload: &[u8]) -> Frame {
    frame("198.18.0.1:5062", "198.18.0.2:5060", payload)
}

/// Returns an IPv6 frame from the caller to the proxy, for a test to change.
#[track_caller]
pub(crate) fn ipv6_frame(payload: &[u8]) -> Frame {
    frame("[2001:db8::1]:5062", "[2001:db8::2]:5060", payload)
}

#[track_caller]
fn frame(source: &str, destination: &str, payload: &[u8]) -> Frame {
    Frame {
        source_mac: [2, 0, 0, 0, 0, 1],
        destination_mac: PROXY_MAC,
        tags: Vec::new(),
        ipv4_options: Vec::new(),
        ipv6_extensions: Vec::new(),
        source: socket_address(source),
        destination: socket_address(destination),
        payload: payload.to_vec(),
        padding: 0,
    }
}

#[track_caller]
fn socket_address(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Returns an IP address as the maps have it.
#[track_caller]
pub(crate) fn words(address: &str) -> [u64; 2] {
    Ownership::words(address.parse().unwrap_or_else(|error| panic!("{address}: {error}")))
}

/// Returns the bytes of `frame`.
#[track_caller]
pub(crate) fn bytes(frame: &Frame) -> Vec<u8> {
    frame.to_bytes()
}

/// Returns an INVITE without a To tag.
pub(crate) fn new_invite() -> Vec<u8> {
    invite("To: <sip:bob@198.18.0.2>")
}

/// Returns an INVITE with `to` as its To header.
pub(crate) fn invite(to: &str) -> Vec<u8> {
    format!(
        "INVITE sip:bob@198.18.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 198.18.0.1:5062;branch=z9hG4bKrig;rport\r\n\
         Max-Forwards: 70\r\nFrom: \"Alice\" <sip:alice@198.18.0.1>;tag=from\r\n{to}\r\nCall-ID: rig@198.18.0.1\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:alice@198.18.0.1:5062>\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// Returns the packet with the INVITE of call number `number`. Different numbers are different transactions.
#[track_caller]
pub(crate) fn call(number: u32) -> Vec<u8> {
    let message = String::from_utf8(invite("To: <sip:bob@b>")).expect("the INVITE is UTF-8");
    ipv4(message.replace("rig", &format!("rig{number}")).as_bytes())
}

//! The loaded program with what it needs around it, and packets to run it on.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::LazyLock;
use std::time::Duration;

use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use filter_common::maps::{Policy, QueueKey, QueueState};
use filter_common::sip::{Decision, Method, Request};
use filter_common::verdict::Verdict;
use filter_lab::af_xdp;
use filter_lab::frame::Frame;
use filter_user::dataplane::{Program, ProgramSettings};
use nix::time::{ClockId, clock_gettime};

pub const XDP_DROP: u32 = 1;
pub const XDP_PASS: u32 = 2;
pub const XDP_REDIRECT: u32 = 4;

/// With what our To tags begin.
pub const TAG_PREFIX: [u8; 8] = *b"ourtag01";

/// Where `BPF_PROG_TEST_RUN` says that a packet comes from: the loopback interface, which is number 1 in any namespace.
const TEST_QUEUE: QueueKey = QueueKey { ifindex: 1, queue: 0 };

/// In the XSKMAP of all rigs.
static SOCKET: LazyLock<OwnedFd> = LazyLock::new(|| af_xdp::bound_socket());

/// The program, loaded for port 5060.
pub struct Rig {
    program: Program,
    policy: Policy,
}

/// The program in the kernel, for port 5060, and with room for so many transactions.
pub fn load(transactions: u32) -> Program {
    let settings = ProgramSettings { ports: &[5060], transactions, hash_seed: 0x0123_4567_89ab_cdef, debug: false };
    Program::load(&settings).unwrap_or_else(|error| panic!("{error}\nThese tests load a BPF program and take root."))
}

impl Rig {
    /// With maintenance on, a lease of a minute, and a socket in the slot.
    pub fn on() -> Self {
        let mut rig = Self::off();
        rig.set_maintenance(true);
        rig.set_lease(Duration::from_secs(60));
        rig
    }

    /// Without maintenance or lease.
    pub fn off() -> Self {
        Self::remembering(1024)
    }

    /// Without maintenance or lease, and with room for so many transactions.
    pub fn remembering(transactions: u32) -> Self {
        let mut program = load(transactions);
        program.set_socket(0, &*SOCKET).expect("the XSKMAP takes the socket");
        let policy = Policy {
            maintenance: 0,
            methods: Method::Invite.bit(),
            percent: 100,
            bypass: 0,
            tag_prefix: u64::from_le_bytes(TAG_PREFIX),
            emergency: [u64::MAX; 2],
            tail_until_ns: 0,
        };
        let mut rig = Self { program, policy };
        rig.set_policy(|_| {});
        rig
    }

    /// Changes the policy and puts it in force.
    pub fn set_policy(&mut self, change: impl FnOnce(&mut Policy)) {
        change(&mut self.policy);
        self.program.set_policy(self.policy).expect("a policy");
    }

    pub fn set_maintenance(&mut self, on: bool) {
        self.set_policy(|policy| policy.maintenance = on.into());
    }

    /// Ends maintenance, or lets it have ended, with `left` to go of the 32 s after it.
    pub fn end_maintenance(&mut self, left: Duration) {
        let until = (monotonic() + left).as_nanos() as u64;
        self.set_policy(|policy| {
            policy.maintenance = 0;
            policy.tail_until_ns = until;
        });
    }

    /// The program itself, for its other tables.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// A lease that ends in `duration`.
    pub fn set_lease(&mut self, duration: Duration) {
        let redirect_until_ns = (monotonic() + duration).as_nanos() as u64;
        let state = QueueState { redirect_until_ns, socket: 0, reserved: 0 };
        self.program.queues().expect("the map").insert(TEST_QUEUE, state, 0).expect("a lease");
    }

    /// A lease for a slot without a socket.
    pub fn set_empty_slot(&mut self) {
        let state = QueueState { redirect_until_ns: u64::MAX, socket: 1, reserved: 0 };
        self.program.queues().expect("the map").insert(TEST_QUEUE, state, 0).expect("a lease");
    }

    /// Runs the program once, and returns what it did, without looking at the counters.
    pub fn action(&mut self, packet: &[u8]) -> u32 {
        let program: &Xdp =
            self.program.ebpf().program("sip_filter").expect("the program").try_into().expect("an XDP program");
        let options = TestRunOptions { data_in: Some(packet), ..TestRunOptions::default() };
        program.test_run(options).expect("BPF_PROG_TEST_RUN").return_value
    }

    /// Runs the program once: exactly one verdict is counted, and the action is the one that belongs to it.
    pub fn verdict(&mut self, packet: &[u8]) -> Verdict {
        let before = self.verdicts();
        let action = self.action(packet);
        let counted: Vec<Verdict> = before
            .iter()
            .zip(self.verdicts())
            .flat_map(|((verdict, before), (_, after))| vec![*verdict; (after - before) as usize])
            .collect();
        let [verdict] = counted[..] else { panic!("counted under {counted:?}") };
        let expected = if verdict.is_redirect() {
            XDP_REDIRECT
        } else if verdict == Verdict::AckAbsorbed {
            XDP_DROP
        } else {
            XDP_PASS
        };
        assert_eq!(action, expected, "{verdict:?}");
        verdict
    }

    pub fn verdicts(&self) -> Vec<(Verdict, u64)> {
        self.program.verdicts().expect("the counters")
    }
}

fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock").into()
}

/// The verdict that the host grammar makes of a message, if only INVITE is refused and nobody is exempt.
pub fn expected(request: Option<Request>) -> Verdict {
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

/// A packet from the caller to the proxy with `payload`, over IPv4.
pub fn ipv4(payload: &[u8]) -> Frame {
    frame("198.18.0.1:5062", "198.18.0.2:5060", payload)
}

/// The same over IPv6.
pub fn ipv6(payload: &[u8]) -> Frame {
    frame("[2001:db8::1]:5062", "[2001:db8::2]:5060", payload)
}

/// A packet from `source` to `destination`.
pub fn frame(source: &str, destination: &str, payload: &[u8]) -> Frame {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    Frame {
        source_mac: [2, 0, 0, 0, 0, 1],
        destination_mac: [2, 0, 0, 0, 0, 2],
        tags: Vec::new(),
        ipv4_options: Vec::new(),
        ipv6_extensions: Vec::new(),
        source: address(source),
        destination: address(destination),
        payload: payload.to_vec(),
        padding: 0,
    }
}

/// The octets of a frame.
pub fn octets(frame: &Frame) -> Vec<u8> {
    frame.to_bytes()
}

/// An INVITE without a To tag.
pub fn new_invite() -> Vec<u8> {
    invite("To: <sip:bob@198.18.0.2>")
}

/// An INVITE with this To header.
pub fn invite(to: &str) -> Vec<u8> {
    format!(
        "INVITE sip:bob@198.18.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 198.18.0.1:5062;branch=z9hG4bKrig;rport\r\n\
         Max-Forwards: 70\r\nFrom: \"Alice\" <sip:alice@198.18.0.1>;tag=from\r\n{to}\r\nCall-ID: rig@198.18.0.1\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:alice@198.18.0.1:5062>\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// The packet with the INVITE of call number `call`.
pub fn call(call: u32) -> Vec<u8> {
    let message = String::from_utf8(invite("To: <sip:bob@b>")).expect("UTF-8");
    octets(&ipv4(message.replace("rig", &format!("rig{call}")).as_bytes()))
}

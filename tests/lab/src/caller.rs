//! A caller: a SIP user agent that sends requests to the proxy and waits for responses.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;

use crate::failure::OrFail as _;
use crate::interrupt;
use crate::message::Message;
use crate::namespace::Namespace;
use crate::request::{Request, fresh_branch};

/// Time within which a response must come.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A user agent at one address and port.
#[derive(Debug)]
pub struct Caller {
    socket: UdpSocket,
    local: SocketAddr,
    proxy: SocketAddr,
}

/// An established call (RFC 3261 12: a dialog), as the caller knows it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its Call-ID.
    pub call_id: String,
    from: String,
    to: String,
    cseq: u32,
}

impl Caller {
    /// Creates a caller in `namespace` at `local`, port 0 for a free one, that sends to `proxy`.
    ///
    /// # Panics
    ///
    /// Panics if `local` cannot be bound.
    #[track_caller]
    pub fn new(namespace: &Namespace, local: SocketAddr, proxy: SocketAddr) -> Self {
        let socket = namespace.bind_udp(local);
        let local = socket.local_addr().or_fail("cannot get the address of the caller's socket");
        Self { socket, local, proxy }
    }

    /// Returns the caller's own address and port.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Creates a new INVITE without sending it.
    pub fn invite(&self) -> Request {
        Request::invite(self.local, self.proxy)
    }

    /// Creates a request of another method, outside of any dialog, without sending it.
    pub fn request(&self, method: &str) -> Request {
        Request::new(method, self.local, self.proxy)
    }

    /// Sends one datagram to the proxy.
    ///
    /// # Panics
    ///
    /// Panics if the kernel does not send it.
    #[track_caller]
    pub fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.proxy).or_fail(format_args!("cannot send to {}", self.proxy));
    }

    /// Sends requests of the same length in one system call, which the kernel may keep in one packet (`UDP_SEGMENT`).
    ///
    /// # Panics
    ///
    /// Panics if the requests differ in length, or the kernel does not send them.
    #[track_caller]
    pub fn send_burst(&self, requests: &[Request]) {
        let messages: Vec<Vec<u8>> = requests.iter().map(Request::to_bytes).collect();
        let segment = messages.first().or_fail("a burst of nothing").len();
        assert!(messages.iter().all(|message| message.len() == segment), "the requests differ in length");
        let set = |segment: usize| setsockopt(&self.socket, UdpGsoSegment, &(segment as i32));
        set(segment).or_fail("cannot set UDP_SEGMENT");
        self.send(&messages.concat());
        set(0).or_fail("cannot set UDP_SEGMENT");
    }

    /// Returns the next message, or `None` if there is none within `timeout`.
    ///
    /// # Panics
    ///
    /// Panics if a datagram comes from elsewhere than the proxy's address and port, or is no SIP message.
    #[track_caller]
    pub fn receive(&self, timeout: Duration) -> Option<Message> {
        let deadline = Instant::now() + timeout;
        let mut buffer = vec![0; 65536];
        loop {
            interrupt::check();
            // The standard library rejects a timeout of zero.
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left)).or_fail("cannot set a read timeout");
            match self.socket.recv_from(&mut buffer) {
                Ok((length, source)) => {
                    assert!(source == self.proxy, "a response from {source}, but the proxy is {}", self.proxy);
                    return Some(Message::parse(&buffer[..length]).or_fail("cannot parse a response"));
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("cannot receive from the proxy: {error}"),
            }
        }
    }

    /// Sends `request` and returns its final response, or `None` if there is none within `timeout`.
    ///
    /// Responses to other requests are skipped.
    ///
    /// # Panics
    ///
    /// Panics as [`Self::send`] and [`Self::receive`] do.
    #[track_caller]
    pub fn ask_within(&self, request: &Request, timeout: Duration) -> Option<Message> {
        self.send(&request.to_bytes());
        let deadline = Instant::now() + timeout;
        loop {
            let response = self.receive(deadline.saturating_duration_since(Instant::now()))?;
            if is_final_response(&response, request) {
                return Some(response);
            }
        }
    }

    /// Sends `request` and returns its final response.
    ///
    /// # Panics
    ///
    /// Panics if there is no response within [`RESPONSE_TIMEOUT`].
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Message {
        self.ask_within(request, RESPONSE_TIMEOUT)
            .or_fail(format_args!("no response within {RESPONSE_TIMEOUT:?} to\n{request}"))
    }

    /// Sends `request` and returns its response.
    ///
    /// # Panics
    ///
    /// Panics unless the response has this status.
    #[track_caller]
    pub fn expect(&self, request: &Request, status: u16) -> Message {
        let response = self.ask(request);
        assert!(response.status() == Some(status), "not a {status} to\n{request}\nbut\n{response}");
        response
    }

    /// Returns the messages that arrive before the 200 to an OPTIONS request that is sent now.
    ///
    /// The wire and the proxy keep the order, so whatever was sent to the caller before is among these messages, and
    /// whatever the caller has sent before has reached the proxy.
    ///
    /// # Panics
    ///
    /// Panics if there is no 200.
    #[track_caller]
    pub fn drain(&self) -> Vec<Message> {
        let marker = self.request("OPTIONS");
        self.send(&marker.to_bytes());
        let mut earlier = Vec::new();
        loop {
            let message = self.receive(RESPONSE_TIMEOUT).or_fail("no response to the OPTIONS that marks the end");
            if is_final_response(&message, &marker) {
                assert!(message.status() == Some(200), "the OPTIONS that marks the end got\n{message}");
                return earlier;
            }
            earlier.push(message);
        }
    }

    /// Establishes a call: INVITE, 200, ACK.
    ///
    /// # Panics
    ///
    /// Panics unless the INVITE gets a 200.
    #[track_caller]
    pub fn establish_call(&self) -> Call {
        let invite = self.invite();
        let ok = self.expect(&invite, 200);
        let cseq = invite.header("CSeq").split(' ').next().and_then(|number| number.parse().ok());
        let call = Call {
            call_id: invite.header("Call-ID").to_owned(),
            from: invite.header("From").to_owned(),
            to: ok.require("To").to_owned(),
            cseq: cseq.or_fail("no CSeq number in our own INVITE"),
        };
        self.acknowledge(&call);
        call
    }

    /// Sends a re-INVITE within `call` and acknowledges its 200.
    ///
    /// # Panics
    ///
    /// Panics unless the re-INVITE gets a 200.
    #[track_caller]
    pub fn reinvite(&self, call: &mut Call) -> Message {
        let mut request = self.request_within(call, "INVITE");
        request.offer(self.local);
        let response = self.expect(&request, 200);
        self.acknowledge(call);
        response
    }

    /// Ends `call`.
    ///
    /// # Panics
    ///
    /// Panics unless the BYE gets a 200.
    #[track_caller]
    pub fn bye(&self, call: &mut Call) -> Message {
        let request = self.request_within(call, "BYE");
        self.expect(&request, 200)
    }

    /// Creates the next request within `call` without sending it.
    pub fn request_within(&self, call: &mut Call, method: &str) -> Request {
        call.cseq += 1;
        self.in_dialog(call, method)
    }

    fn in_dialog(&self, call: &Call, method: &str) -> Request {
        let mut request = self.request(method);
        request.set("From", &call.from);
        request.set("To", &call.to);
        request.set("Call-ID", &call.call_id);
        request.set("CSeq", &format!("{} {method}", call.cseq));
        request
    }

    /// Sends the ACK to a 200 (RFC 3261 13.2.2.4): a transaction of its own, with the CSeq number of the INVITE.
    #[track_caller]
    fn acknowledge(&self, call: &Call) {
        self.send(&self.in_dialog(call, "ACK").to_bytes());
    }

    /// Sends the ACK to `response`, which refused `invite`.
    ///
    /// # Panics
    ///
    /// Panics if `response` has no To header.
    #[track_caller]
    pub fn acknowledge_refusal(&self, invite: &Request, response: &Message) {
        self.send(&self.ack_to_refusal(invite, response).to_bytes());
    }

    /// Creates the ACK to `response`, which refused `invite`, without sending it (RFC 3261 17.1.1.3): the branch of the
    /// INVITE, the To of the response.
    ///
    /// # Panics
    ///
    /// Panics if `response` has no To header.
    #[track_caller]
    pub fn ack_to_refusal(&self, invite: &Request, response: &Message) -> Request {
        let mut ack = self.request("ACK");
        for name in ["Via", "From", "Call-ID"] {
            ack.set(name, invite.header(name));
        }
        ack.set("To", response.require("To"));
        ack.set("CSeq", &invite.header("CSeq").replace("INVITE", "ACK"));
        ack
    }

    /// Returns `request` as another transaction: with another branch, and otherwise unchanged.
    pub fn as_new_transaction(&self, request: &Request) -> Request {
        let mut other = request.clone();
        other.set("Via", &format!("SIP/2.0/UDP {};branch={};rport", self.local, fresh_branch()));
        other
    }
}

fn is_final_response(message: &Message, request: &Request) -> bool {
    ["Call-ID", "CSeq"].iter().all(|name| message.header(name) == Some(request.header(name)))
        && message.status().is_some_and(|status| status >= 200)
}

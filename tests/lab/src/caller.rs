//! A caller: a SIP user agent that sends requests to the proxy and waits for what comes back.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::interrupt;
use crate::message::Message;
use crate::namespace::Namespace;
use crate::request::{Request, fresh_branch};

/// How long a caller waits for a response that must come.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// A user agent at one address and port.
#[derive(Debug)]
pub struct Caller {
    socket: UdpSocket,
    local: SocketAddr,
    proxy: SocketAddr,
}

/// A call that is up (RFC 3261 12: a dialog), as the caller knows it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its Call-ID.
    pub call_id: String,
    from: String,
    to: String,
    cseq: u32,
}

impl Caller {
    /// A caller in `namespace` at a free port of `local`, who calls through `proxy`.
    pub fn new(namespace: &Namespace, local: SocketAddr, proxy: SocketAddr) -> Result<Self> {
        let socket = namespace.bind_udp(local)?;
        let local = socket.local_addr().context("the caller's address")?;
        Ok(Self { socket, local, proxy })
    }

    /// The caller's own address and port.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// A new INVITE, not sent yet.
    pub fn invite(&self) -> Request {
        Request::invite(self.local, self.proxy)
    }

    /// A request of another method out of any dialog, not sent yet.
    pub fn request(&self, method: &str) -> Request {
        Request::new(method, self.local, self.proxy)
    }

    /// Sends one datagram to the proxy.
    pub fn send(&self, bytes: &[u8]) -> Result<()> {
        self.socket.send_to(bytes, self.proxy).with_context(|| format!("send to {}", self.proxy))?;
        Ok(())
    }

    /// The next message that comes, or none within `timeout`. It has to come from the proxy's address and port.
    pub fn receive(&self, timeout: Duration) -> Result<Option<Message>> {
        let deadline = Instant::now() + timeout;
        let mut buffer = vec![0; 65536];
        loop {
            interrupt::check()?;
            // A timeout of zero would mean to wait for ever.
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left)).context("set a read timeout")?;
            match self.socket.recv_from(&mut buffer) {
                Ok((length, source)) => {
                    ensure!(source == self.proxy, "a reply from {source}, but the proxy is {}", self.proxy);
                    return Message::parse(&buffer[..length]).map(Some);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("receive from the proxy"),
            }
        }
    }

    /// Sends `request` and returns the response to it, or none within `timeout`. Others are left out.
    pub fn ask_for(&self, request: &Request, timeout: Duration) -> Result<Option<Message>> {
        self.send(&request.to_bytes())?;
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(response) = self.receive(left)? else { return Ok(None) };
            let ours = ["Call-ID", "CSeq"].iter().all(|name| response.header(name) == Some(request.header(name)));
            if ours && response.status().is_some_and(|status| status >= 200) {
                return Ok(Some(response));
            }
        }
    }

    /// Sends `request` and returns its response; an error if none comes.
    pub fn ask(&self, request: &Request) -> Result<Message> {
        self.ask_for(request, PATIENCE)?.with_context(|| format!("no response within {PATIENCE:?} to\n{request}"))
    }

    /// Sends `request`, which has to be answered with `status`.
    pub fn expect(&self, request: &Request, status: u16) -> Result<Message> {
        let response = self.ask(request)?;
        if response.status() != Some(status) {
            bail!("{} was to be answered with {status}, but was with\n{response}", request.method);
        }
        Ok(response)
    }

    /// Sets a call up: INVITE, 200, ACK.
    pub fn call_up(&self) -> Result<Call> {
        let invite = self.invite();
        let ok = self.expect(&invite, 200)?;
        let cseq = invite.header("CSeq").split(' ').next().context("CSeq number")?.parse().context("CSeq number")?;
        let call = Call {
            call_id: invite.header("Call-ID").to_owned(),
            from: invite.header("From").to_owned(),
            to: ok.require("To")?.to_owned(),
            cseq,
        };
        self.acknowledge(&call)?;
        Ok(call)
    }

    /// A re-INVITE within `call`; the response has to be a 200, which is acknowledged.
    pub fn reinvite(&self, call: &mut Call) -> Result<Message> {
        let mut request = self.within(call, "INVITE");
        request.offer(self.local);
        let response = self.expect(&request, 200)?;
        self.acknowledge(call)?;
        Ok(response)
    }

    /// Ends `call`; the response has to be a 200.
    pub fn bye(&self, call: &mut Call) -> Result<Message> {
        let request = self.within(call, "BYE");
        self.expect(&request, 200)
    }

    /// The next request within `call`, not sent yet.
    pub fn within(&self, call: &mut Call, method: &str) -> Request {
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

    /// The ACK to a 200 (RFC 3261 13.2.2.4): a transaction of its own, with the CSeq number of the INVITE.
    fn acknowledge(&self, call: &Call) -> Result<()> {
        self.send(&self.in_dialog(call, "ACK").to_bytes())
    }

    /// Acknowledges a refusal of `invite`.
    pub fn acknowledge_refusal(&self, invite: &Request, response: &Message) -> Result<()> {
        self.send(&self.refusal_ack(invite, response)?.to_bytes())
    }

    /// The ACK to a refusal of `invite` (RFC 3261 17.1.1.3), not sent yet: same branch, the To of the response.
    pub fn refusal_ack(&self, invite: &Request, response: &Message) -> Result<Request> {
        let mut ack = self.request("ACK");
        for name in ["Via", "From", "Call-ID"] {
            ack.set(name, invite.header(name));
        }
        ack.set("To", response.require("To")?);
        ack.set("CSeq", &invite.header("CSeq").replace("INVITE", "ACK"));
        Ok(ack)
    }

    /// The same request as a transaction of its own: a fresh branch, all else unchanged.
    pub fn retry(&self, request: &Request) -> Request {
        let mut retry = request.clone();
        retry.set("Via", &format!("SIP/2.0/UDP {};branch={};rport", self.local, fresh_branch()));
        retry
    }
}

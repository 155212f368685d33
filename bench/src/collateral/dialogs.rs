//! Established calls through the proxy, and re-INVITEs within them, each sent on schedule and only once.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use filter_lab::message::Message;
use filter_lab::request::{Request, fresh};
use filter_lab::sip_server::SipServer;
use filter_lab::wire::{End, Family};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::stage::Stage;
use crate::{cpu, servers};

/// Time between two requests: fifty per second.
pub(super) const INTERVAL: Duration = Duration::from_millis(20);
/// T1 of RFC 3261 section 17.1.1.1: a client without a response by then retransmits the request.
pub(super) const T1: Duration = Duration::from_millis(500);
/// Port of the caller. The generator uses another one.
const CALLER_PORT: u16 = 5070;
/// Port of the called party, which is on the proxy's host: packets to it pass no NIC, so the filter does not see them.
const CALLED_PORT: u16 = 5080;

/// A caller and a called party, with established calls through a proxy that has recorded their route.
pub(super) struct Dialogs {
    caller: UdpSocket,
    _called: SipServer,
    /// CSeq number of the next request. No two requests have the same number, not even in different calls.
    next_cseq: usize,
}

/// A re-INVITE, before or after it is sent.
struct Reinvite {
    request: Vec<u8>,
    /// ACK to its response.
    ack: Vec<u8>,
    sent: Option<Instant>,
    /// Time from the request to its final response.
    latency: Option<Duration>,
}

impl Dialogs {
    /// Creates both parties. The called one answers at once: it is on the CPU of the answerers, with a priority above
    /// theirs.
    pub(super) fn new(stage: &Stage) -> Result<Self> {
        let caller = stage.outside.bind_udp(caller());
        caller.connect(servers::proxy()).context("connect the caller's socket to the proxy")?;
        caller.set_nonblocking(true).context("make the caller's socket non-blocking")?;
        let called = cpu::run_before_answerers(|| Ok(SipServer::start(&stage.inside, CALLED_PORT)))?;
        Ok(Self { caller, _called: called, next_cseq: 1 })
    }

    /// Sends `count` re-INVITEs. Returns the time from each to its final response, or `None` if that took longer than
    /// [`T1`].
    pub(super) fn send(&mut self, count: usize) -> Result<Vec<Option<Duration>>> {
        let first = self.next_cseq;
        self.next_cseq += count;
        let mut reinvites = reinvites(first, count);
        let start = Instant::now();
        for place in 0..count {
            self.receive_until(start + INTERVAL * place as u32, first, &mut reinvites)?;
            let reinvite = &mut reinvites[place];
            reinvite.sent = Some(Instant::now());
            self.caller.send(&reinvite.request).context("send a request within a dialog")?;
        }
        self.receive_until(Instant::now() + T1, first, &mut reinvites)?;
        Ok(reinvites.into_iter().map(|reinvite| reinvite.latency.filter(|latency| *latency <= T1)).collect())
    }

    /// Receives responses to `reinvites`, whose CSeq numbers begin at `first`, until the time `until`.
    fn receive_until(&self, until: Instant, first: usize, reinvites: &mut [Reinvite]) -> Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // A timeout of the socket would be too coarse: the kernel counts it in ticks of some milliseconds.
            let ready = ppoll(
                &mut [PollFd::new(self.caller.as_fd(), PollFlags::POLLIN)],
                Some(TimeSpec::from_duration(left)),
                None,
            );
            if ready.context("wait for responses")? == 0 {
                return Ok(());
            }
            let length = self.caller.recv(&mut buffer).context("receive a response")?;
            let now = Instant::now();
            let response = Message::parse(&buffer[..length])?;
            if let Some(reinvite) = newly_answered(&response, first, reinvites)? {
                reinvite.latency = reinvite.sent.map(|sent| now - sent);
                self.caller.send(&reinvite.ack).context("send an ACK")?;
            }
        }
    }
}

/// Returns the request to which `response` is the first final response, or `None` if it is a provisional one, a
/// retransmission, or belongs to an earlier load.
fn newly_answered<'a>(
    response: &Message,
    first: usize,
    reinvites: &'a mut [Reinvite],
) -> Result<Option<&'a mut Reinvite>> {
    let status = response.status().with_context(|| format!("not a response:\n{response}"))?;
    if status < 200 {
        return Ok(None);
    }
    let number = response.require("CSeq").split(' ').next().unwrap_or_default();
    let number: usize = number.parse().context("the number of a CSeq")?;
    let Some(reinvite) = number.checked_sub(first).and_then(|place| reinvites.get_mut(place)) else { return Ok(None) };
    ensure!(status == 200, "a request within a dialog was refused:\n{response}");
    Ok(Some(reinvite).filter(|reinvite| reinvite.latency.is_none()))
}

/// Returns `count` re-INVITEs, each within another call, with CSeq numbers from `first` on.
fn reinvites(first: usize, count: usize) -> Vec<Reinvite> {
    let reinvite = |cseq| {
        let call = [fresh("call-"), fresh("from-"), fresh("to-")];
        let [request, ack] = ["INVITE", "ACK"].map(|method| in_dialog(method, &call, cseq).to_bytes());
        Reinvite { request, ack, sent: None, latency: None }
    };
    (first..first + count).map(reinvite).collect()
}

/// Returns a request within a call, to the called party by way of the proxy. An INVITE is as long as a new one.
///
/// `call` is the Call-ID, the From tag and the To tag.
fn in_dialog(method: &str, call: &[String; 3], cseq: usize) -> Request {
    let [call_id, from, to] = call;
    let (caller, proxy) = (caller(), servers::proxy());
    let mut request = match method {
        "INVITE" => Request::invite(caller, proxy),
        _ => Request::new(method, caller, proxy),
    };
    request.uri = format!("sip:bob@{}:{CALLED_PORT}", proxy.ip());
    request.headers.insert(1, ("Route".to_owned(), format!("<sip:{proxy};lr>")));
    request.set("From", &format!("<sip:alice@{}>;tag={from}", caller.ip()));
    request.set("To", &format!("<sip:+4930123456@{}>;tag={to}", proxy.ip()));
    request.set("Call-ID", call_id);
    request.set("CSeq", &format!("{cseq} {method}"));
    request
}

/// Returns the address of the caller.
fn caller() -> SocketAddr {
    SocketAddr::new(End::Caller.address(Family::V4), CALLER_PORT)
}

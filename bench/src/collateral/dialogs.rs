//! Calls that are up through the proxy, and the re-INVITEs within them: sent in time, and each only once.

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

/// From one request to the next: fifty a second.
pub(super) const INTERVAL: Duration = Duration::from_millis(20);
/// T1 of RFC 3261: who has no answer by then sends again.
pub(super) const T1: Duration = Duration::from_millis(500);
/// Where the caller is reached. The generator is at another port.
const CALLER_PORT: u16 = 5070;
/// Where the called party is reached, on the proxy's host: what goes there comes past no NIC, and is no concern of the filter.
const CALLED_PORT: u16 = 5080;

/// A caller and a called party, and the proxy between them, at which the route of their calls was recorded.
pub(super) struct Dialogs {
    caller: UdpSocket,
    _called: SipServer,
    /// The CSeq number of the next request. None has that of another, whatever their call.
    next: usize,
}

/// A request that is to be sent.
struct Due {
    request: Vec<u8>,
    /// What its answer is acknowledged with.
    ack: Vec<u8>,
    sent: Option<Instant>,
    answered: Option<Duration>,
}

impl Dialogs {
    /// Both parties. The called one answers at once, on the CPU of the answerers and before these.
    pub(super) fn new(stage: &Stage) -> Result<Self> {
        let caller = stage.outside.bind_udp(caller());
        caller.connect(servers::proxy()).context("the proxy as the caller's peer")?;
        caller.set_nonblocking(true).context("a socket that does not block")?;
        let called = cpu::before_answerers(|| Ok(SipServer::start(&stage.inside, CALLED_PORT)))?;
        Ok(Self { caller, _called: called, next: 1 })
    }

    /// Sends so many requests. For each, how long its final answer took, if that came within [`T1`].
    pub(super) fn go_on(&mut self, count: usize) -> Result<Vec<Option<Duration>>> {
        let first = self.next;
        self.next += count;
        let mut requests = requests(first, count);
        let start = Instant::now();
        for place in 0..count {
            self.receive_until(start + INTERVAL * place as u32, first, &mut requests)?;
            let due = &mut requests[place];
            due.sent = Some(Instant::now());
            self.caller.send(&due.request).context("send a request within a dialog")?;
        }
        self.receive_until(Instant::now() + T1, first, &mut requests)?;
        Ok(requests.into_iter().map(|due| due.answered.filter(|latency| *latency <= T1)).collect())
    }

    /// Notes the answers that come until then.
    fn receive_until(&self, until: Instant, first: usize, requests: &mut [Due]) -> Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // Not a timeout of the socket, which the kernel counts in ticks of some milliseconds.
            let ready = ppoll(
                &mut [PollFd::new(self.caller.as_fd(), PollFlags::POLLIN)],
                Some(TimeSpec::from_duration(left)),
                None,
            );
            if ready.context("wait for answers")? == 0 {
                return Ok(());
            }
            let length = self.caller.recv(&mut buffer).context("receive an answer")?;
            let now = Instant::now();
            let answer = Message::parse(&buffer[..length])?;
            if let Some(due) = answered(&answer, first, requests)? {
                due.answered = due.sent.map(|sent| now - sent);
                self.caller.send(&due.ack).context("send an ACK")?;
            }
        }
    }
}

/// Which of the requests is answered by this for good, and was not before. An answer to an earlier load is none.
fn answered<'a>(answer: &Message, first: usize, requests: &'a mut [Due]) -> Result<Option<&'a mut Due>> {
    let status = answer.status().context("something else than a response")?;
    if status < 200 {
        return Ok(None);
    }
    let number = answer.require("CSeq").split(' ').next().unwrap_or_default();
    let number: usize = number.parse().context("the number of a CSeq")?;
    let Some(due) = number.checked_sub(first).and_then(|place| requests.get_mut(place)) else { return Ok(None) };
    ensure!(status == 200, "a request within a dialog was refused:\n{answer}");
    Ok(Some(due).filter(|due| due.answered.is_none()))
}

/// So many re-INVITEs, each within a call of its own.
fn requests(first: usize, count: usize) -> Vec<Due> {
    let due = |number| {
        let call = [fresh("call-"), fresh("from-"), fresh("to-")];
        let [request, ack] = ["INVITE", "ACK"].map(|method| within(method, &call, number).to_bytes());
        Due { request, ack, sent: None, answered: None }
    };
    (first..first + count).map(due).collect()
}

/// A request within a call, to the called party by way of the proxy; an INVITE is as long as a new one.
fn within(method: &str, [call_id, from, to]: &[String; 3], number: usize) -> Request {
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
    request.set("CSeq", &format!("{number} {method}"));
    request
}

fn caller() -> SocketAddr {
    SocketAddr::new(End::Caller.address(Family::V4), CALLER_PORT)
}

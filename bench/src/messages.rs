//! The messages of the benchmarks: INVITEs of three sizes, requests within a dialog, a response.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use filter_lab::frame::Frame;

/// MAC address of the proxy.
pub(crate) const PROXY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// IPv4 address of the proxy.
pub(crate) const PROXY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// IPv6 address of the proxy.
pub(crate) const PROXY_IPV6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
/// IPv4 address of the caller.
const CALLER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// IPv6 address of the caller.
const CALLER_IPV6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// The size of an INVITE.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Mandatory headers only, no body.
    Short,
    /// Headers and SDP as from a carrier's SBC: about 950 bytes.
    Typical,
    /// Three proxies on the way, more headers and more codecs: about 1400 bytes, near the MTU.
    Long,
}

impl Size {
    pub(crate) const ALL: [Self; 3] = [Self::Short, Self::Typical, Self::Long];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Typical => "typical",
            Self::Long => "long",
        }
    }
}

/// Returns the INVITE of call number `call`. With `to_tag` it is within a dialog.
pub(crate) fn invite(size: Size, call: u32, to_tag: bool) -> Vec<u8> {
    let to = if to_tag { "To: <sip:+4930123456@198.18.0.2>;tag=a6c85cf" } else { "To: <sip:+4930123456@198.18.0.2>" };
    let start = format!(
        "{START}\r\n\
         Via: SIP/2.0/UDP 198.18.0.1:5060;branch=z9hG4bK{call:08x}776asdhds;rport\r\n"
    );
    let dialog = format!(
        "Max-Forwards: 69\r\nFrom: \"Alice Example\" <sip:+4940987654@198.18.0.1>;tag=1928301774{call:08x}\r\n{to}\r\n\
         Call-ID: {call:08x}-a84b4c76e66710@198.18.0.1\r\nCSeq: 314159 INVITE\r\n\
         Contact: <sip:+4940987654@198.18.0.1:5060;transport=udp>\r\n"
    );
    let message = match size {
        Size::Short => format!("{start}{dialog}Content-Length: 0\r\n\r\n"),
        Size::Typical => format!("{start}{dialog}{FEATURES}{}", body(SDP)),
        Size::Long => format!("{start}{PROXIES}{dialog}{FEATURES}{}", body(LONG_SDP)),
    };
    message.into_bytes()
}

/// Returns a request within the dialog of call number `call`, without a body.
pub(crate) fn in_dialog(method: &str, call: u32, to_tag: &str) -> Vec<u8> {
    let invite = String::from_utf8_lossy(&invite(Size::Short, call, true)).into_owned();
    invite.replace("INVITE", method).replace("a6c85cf", to_tag).into_bytes()
}

/// Returns the 200 to the INVITE of call number `call`, with SDP.
pub(crate) fn ok_response(call: u32) -> Vec<u8> {
    let invite = String::from_utf8_lossy(&invite(Size::Typical, call, true)).into_owned();
    invite.replacen(START, "SIP/2.0 200 OK", 1).into_bytes()
}

/// Returns the last headers and the body.
fn body(sdp: &str) -> String {
    format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len())
}

const START: &str = "INVITE sip:+4930123456@198.18.0.2:5060;user=phone SIP/2.0";

const FEATURES: &str = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY\r\n\
    Supported: 100rel, timer, replaces\r\nSession-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\n\
    P-Asserted-Identity: <sip:+4940987654@198.18.0.1;user=phone>\r\nUser-Agent: Carrier-SBC/9.3.1\r\n";

const PROXIES: &str = "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK2d4790.1;received=192.0.2.10\r\n\
    Via: SIP/2.0/TCP edge.example.com;branch=z9hG4bK87asdks7\r\n\
    Record-Route: <sip:198.18.0.1;lr;ftag=1928301774>\r\nRecord-Route: <sip:192.0.2.10;lr>\r\n";

const SDP: &str = "v=0\r\no=- 20518 0 IN IP4 198.18.0.1\r\ns=-\r\nc=IN IP4 198.18.0.1\r\nt=0 0\r\n\
    m=audio 54742 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";

const LONG_SDP: &str = "v=0\r\no=- 20518 0 IN IP4 198.18.0.1\r\ns=-\r\nc=IN IP4 198.18.0.1\r\nt=0 0\r\n\
    m=audio 54742 RTP/AVP 96 97 8 0 101\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:97 AMR-WB/16000\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
    a=fmtp:96 useinbandfec=1\r\na=ptime:20\r\na=rtcp:54743\r\na=sendrecv\r\n";

/// Returns the IPv4 frame with `message` from the caller's host to the proxy's.
pub(crate) fn frame(message: Vec<u8>, destination_port: u16) -> Vec<u8> {
    between(CALLER.into(), PROXY.into(), message, destination_port)
}

/// Returns the IPv6 frame with `message` from the caller's host to the proxy's.
pub(crate) fn ipv6_frame(message: Vec<u8>, destination_port: u16) -> Vec<u8> {
    between(CALLER_IPV6.into(), PROXY_IPV6.into(), message, destination_port)
}

fn between(caller: IpAddr, proxy: IpAddr, message: Vec<u8>, destination_port: u16) -> Vec<u8> {
    let frame = Frame {
        source_mac: [2, 0, 0, 0, 0, 1],
        destination_mac: PROXY_MAC,
        tags: Vec::new(),
        ipv4_options: Vec::new(),
        ipv6_extensions: Vec::new(),
        source: (caller, 5060).into(),
        destination: (proxy, destination_port).into(),
        payload: message,
        padding: 0,
    };
    frame.to_bytes()
}

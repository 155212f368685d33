//! The destination of the response: RFC 3261 section 18.2.2 and RFC 3581 section 4, but never a third party.

use filter_reply::Unanswered;

use crate::{capture_response, invite_via};

/// Returns the destination port of the response to an INVITE with this Via header.
#[track_caller]
fn port(via: &str) -> Result<u16, Unanswered> {
    let response = capture_response(&invite_via(via))?;
    assert_eq!(response.destination.ip().to_string(), "198.18.0.1", "{via}");
    assert_eq!(response.source.to_string(), "198.18.0.2:5060", "{via}");
    Ok(response.destination.port())
}

#[test]
fn response_to_a_via_with_rport_goes_to_the_source_port() {
    for params in
        [";rport", ";rport=", ";rport=9", " ; RPORT", ";branch=1;rport;maddr=198.18.0.9", ";x=\"\"\r\n ;rport"]
    {
        for sent_by in ["198.18.0.1", "203.0.113.5:5062", "a.example.com:0", "[2001:db8::1]:99999"] {
            assert_eq!(port(&format!("Via: SIP/2.0/UDP {sent_by}{params}")), Ok(40123), "{sent_by} {params}");
        }
    }
}

#[test]
fn response_to_a_via_without_rport_goes_to_the_port_of_sent_by() {
    for (sent_by, expected) in [
        ("198.18.0.1:5062", 5062),
        ("203.0.113.5:1", 1),
        ("a.example.com:65535", 65535),
        ("a.example.com : 005070", 5070),
        ("[2001:db8::1]:5080", 5080),
        ("198.18.0.1", 5060),
        ("a.example.com", 5060),
        ("[2001:db8::1]", 5060),
    ] {
        for params in ["", ";maddr=198.18.0.9;received=203.0.113.7", ";x=\";rport\"", ", SIP/2.0/UDP i:7;rport"] {
            assert_eq!(port(&format!("Via: SIP/2.0/UDP {sent_by}{params}")), Ok(expected), "{sent_by} {params}");
        }
    }
}

#[test]
fn sent_by_with_an_invalid_port_gets_no_response() {
    for sent_by in ["h:0", "h:000", "h:65536", "h:99999", "h:4294967297", "[::1]:99999999999999999999999999"] {
        assert_eq!(port(&format!("Via: SIP/2.0/UDP {sent_by}")), Err(Unanswered::ReplyPort), "{sent_by}");
    }
}

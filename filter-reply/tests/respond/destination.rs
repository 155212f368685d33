//! The destination of the response: RFC 3261 section 18.2.2 and RFC 3581 section 4, but never a third party.

use crate::{capture_response, invite_via};

/// Returns the destination port of the response to an INVITE with this Via header.
#[track_caller]
fn port(via: &str) -> u16 {
    let response = capture_response(&invite_via(via)).unwrap_or_else(|reason| panic!("{via}: {}", reason.name()));
    assert_eq!(response.destination.ip().to_string(), "198.18.0.1", "{via}");
    assert_eq!(response.source.to_string(), "198.18.0.2:5060", "{via}");
    response.destination.port()
}

#[test]
fn response_to_a_via_with_rport_goes_to_the_source_port() {
    for params in
        [";rport", ";rport=", ";rport=9", " ; RPORT", ";branch=1;rport;maddr=198.18.0.9", ";x=\"\"\r\n ;rport"]
    {
        for sent_by in ["198.18.0.1", "203.0.113.5:5062", "a.example.com:0", "[2001:db8::1]:99999"] {
            assert_eq!(port(&format!("Via: SIP/2.0/UDP {sent_by}{params}")), 40123, "{sent_by} {params}");
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
        ("h:5070 5", 5070),
        ("h x:5070 (5080)", 5070),
        ("[2001:db8::1]:5080", 5080),
        ("198.18.0.1", 5060),
        ("a.example.com", 5060),
        ("[2001:db8::1]", 5060),
    ] {
        for params in ["", ";maddr=198.18.0.9;received=203.0.113.7", ";x=\";rport\"", ", SIP/2.0/UDP i:7;rport"] {
            assert_eq!(port(&format!("Via: SIP/2.0/UDP {sent_by}{params}")), expected, "{sent_by} {params}");
        }
    }
}

#[test]
fn response_to_a_via_whose_port_is_none_goes_to_the_default_port() {
    for sent_by in [
        "h:0",
        "h:000",
        "h:65536",
        "h:99999",
        "h:4294967297",
        "[::1]:99999999999999999999999999",
        "h:",
        "h:sip",
        "h:5070x",
        "h:-1",
        "h:50:70",
        "2001:db8::1",
        "2001:db8::1:5070",
        "[2001:db8::1",
        "[2001:db8::1:5070",
        "h x",
        "h (5070",
    ] {
        for params in ["", ";branch=1", ";;maddr=198.18.0.9;"] {
            assert_eq!(port(&format!("Via: SIP/2.0/UDP {sent_by}{params}")), 5060, "{sent_by}{params}");
        }
    }
}

#[test]
fn response_to_a_via_without_a_host_goes_to_its_port_or_with_rport_to_the_source_port() {
    for (via, expected) in [(" :5070", 5070), (" : 5070 ;branch=1", 5070), (" ;rport", 40123), (";x;rport;", 40123)] {
        assert_eq!(port(&format!("Via: SIP/2.0/UDP{via}")), expected, "{via}");
    }
}

#[test]
fn malformed_parameters_do_not_hide_the_port_of_sent_by_or_rport() {
    for params in [
        ";;",
        ";",
        "; ;",
        ";x=<a>;",
        ";x=a b",
        ";x=a\\b",
        ";x=a\"b",
        ";x=\"a\"b",
        ";=a",
        ";x=a=b",
        ";x=a\0b",
        " (c) ;x",
        " (a, ;(b)) ;x",
        ";x (c) ;y",
        ";rport2;xrport=1",
        ";rportx;",
        ";x=\"a;rport\";",
        ";rports=1;;",
    ] {
        let with = |sent_by: &str, rport: &str| port(&format!("Via: SIP/2.0/UDP {sent_by}{params}{rport}"));
        assert_eq!(with("h:5070", ""), 5070, "{params}");
        assert_eq!(with("198.18.0.1", ""), 5060, "{params}");
        assert_eq!(with("[2001:db8::1]:5070", ""), 5070, "{params}");
        // An rport of the next Via is none of this one.
        assert_eq!(with("h:5070", " , SIP/2.0/UDP i;rport"), 5070, "{params}");
        for rport in
            [";rport", ";rport;", ";;rport", ";rport;rport=9", ";rport=<9>", ";rport==9", "; RPORT = 9 9", ";rport 9"]
        {
            assert_eq!(with("h:5070", rport), 40123, "{params}{rport}");
        }
    }
    // An open quote or comment extends to the end, as for Kamailio.
    for params in [";x=\"a;rport", ";x= \"a\\\";rport", " (a;rport"] {
        assert_eq!(port(&format!("Via: SIP/2.0/UDP h:5070{params}")), 5070, "{params}");
    }
}

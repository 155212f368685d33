//! `received` and `rport` in the topmost Via, in all its spellings (RFC 3261 section 18.2.1, RFC 3581 section 4).

use crate::response::Response;
use crate::wire::{Capture, Sender};
use crate::{invite_via, respond, respond_to_frame, template};

/// Via headers in the request and in the response. The request comes from 198.18.0.1:40123.
const SPELLINGS: &[(&str, &str)] = &[
    // sent-by is the source: nothing to add.
    ("Via: SIP/2.0/UDP 198.18.0.1:5062;branch=z9hG4bK-1", "Via: SIP/2.0/UDP 198.18.0.1:5062;branch=z9hG4bK-1"),
    ("Via: SIP/2.0/UDP 198.18.0.1", "Via: SIP/2.0/UDP 198.18.0.1"),
    ("v:SIP/2.0/UDP 198.18.0.1;branch=1", "v:SIP/2.0/UDP 198.18.0.1;branch=1"),
    // sent-by is another address, or a name.
    ("Via: SIP/2.0/UDP 203.0.113.5;branch=1", "Via: SIP/2.0/UDP 203.0.113.5;branch=1;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP 198.18.0.10;branch=1", "Via: SIP/2.0/UDP 198.18.0.10;branch=1;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP pc33.example.com", "Via: SIP/2.0/UDP pc33.example.com;received=198.18.0.1"),
    ("VIA : SIP/2.0/UDP h:9;x=\"a\\\";,\";y \t", "VIA : SIP/2.0/UDP h:9;x=\"a\\\";,\";y;received=198.18.0.1 \t"),
    (
        "Via: SIP/2.0/UDP [2001:db8::1]:5060;branch=1",
        "Via: SIP/2.0/UDP [2001:db8::1]:5060;branch=1;received=198.18.0.1",
    ),
    ("Via: SIP/2.0/UDP [2001:db8:::1];branch=1", "Via: SIP/2.0/UDP [2001:db8:::1];branch=1;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP [::ffff:198.18.0.1]:9;branch=1", "Via: SIP/2.0/UDP [::ffff:198.18.0.1]:9;branch=1"),
    ("Via: SIP/2.0/UDP b\u{fc}ro;branch=1", "Via: SIP/2.0/UDP b\\xc3\\xbcro;branch=1;received=198.18.0.1"),
    ("Via: sip/2.0/tls h", "Via: sip/2.0/tls h;received=198.18.0.1"),
    // rport at any place and with any value.
    (
        "Via: SIP/2.0/UDP 198.18.0.1;rport;branch=1",
        "Via: SIP/2.0/UDP 198.18.0.1;rport=40123;branch=1;received=198.18.0.1",
    ),
    (
        "Via: SIP/2.0/UDP 198.18.0.1;branch=1;rport",
        "Via: SIP/2.0/UDP 198.18.0.1;branch=1;rport=40123;received=198.18.0.1",
    ),
    ("Via: SIP/2.0/UDP 198.18.0.1;rport=", "Via: SIP/2.0/UDP 198.18.0.1;rport=40123;received=198.18.0.1"),
    (
        "Via: SIP/2.0/UDP 198.18.0.1;RPORT=;branch=1",
        "Via: SIP/2.0/UDP 198.18.0.1;RPORT=40123;branch=1;received=198.18.0.1",
    ),
    ("Via: SIP/2.0/UDP h;rport=9;branch=1", "Via: SIP/2.0/UDP h;rport=40123;branch=1;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;rport = \"9;\" ;branch=1", "Via: SIP/2.0/UDP h;rport = 40123 ;branch=1;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;rport = ;branch=1", "Via: SIP/2.0/UDP h;rport =40123 ;branch=1;received=198.18.0.1"),
    // Parameters that only resemble rport.
    (
        "Via: SIP/2.0/UDP 198.18.0.1;x=\";rport\";rports;xrport=1",
        "Via: SIP/2.0/UDP 198.18.0.1;x=\";rport\";rports;xrport=1",
    ),
    // received from the client is overwritten.
    (
        "Via: SIP/2.0/UDP 198.18.0.1;received=203.0.113.66;branch=1",
        "Via: SIP/2.0/UDP 198.18.0.1;received=198.18.0.1;branch=1",
    ),
    ("Via: SIP/2.0/UDP h;received=203.0.113.66;rport", "Via: SIP/2.0/UDP h;received=198.18.0.1;rport=40123"),
    ("Via: SIP/2.0/UDP h;rport;Received = 203.0.113.66 ", "Via: SIP/2.0/UDP h;rport=40123;Received = 198.18.0.1 "),
    ("Via: SIP/2.0/UDP 198.18.0.1;received;branch=1", "Via: SIP/2.0/UDP 198.18.0.1;received=198.18.0.1;branch=1"),
    ("Via: SIP/2.0/UDP 198.18.0.1;received=[2001:db8::9]", "Via: SIP/2.0/UDP 198.18.0.1;received=198.18.0.1"),
    // maddr, ttl and extensions are kept.
    (
        "Via: SIP/2.0/UDP h;maddr=224.2.0.1;ttl=16;x=[::1]:2",
        "Via: SIP/2.0/UDP h;maddr=224.2.0.1;ttl=16;x=[::1]:2;received=198.18.0.1",
    ),
    // White space around everything.
    (
        "Via \t:  SIP / 2.0\t/ UDP \t198.18.0.1 : 5062 ; branch = z9 ; rport",
        "Via \t:  SIP / 2.0\t/ UDP \t198.18.0.1 : 5062 ; branch = z9 ; rport=40123;received=198.18.0.1",
    ),
    ("Via: SIP/2.0/UDP h ;branch=1", "Via: SIP/2.0/UDP h ;branch=1;received=198.18.0.1"),
    // Folds.
    (
        "Via:\r\n SIP/2.0/UDP\r\n\th\r\n ;rport\r\n ;x",
        "Via:\r\n SIP/2.0/UDP\r\n\th\r\n ;rport=40123\r\n ;x;received=198.18.0.1",
    ),
    ("Via: SIP/2.0/UDP h;rport\r\n ", "Via: SIP/2.0/UDP h;rport=40123;received=198.18.0.1\r\n "),
    // Several in one header: the first one is edited.
    (
        "Via: SIP/2.0/UDP h;rport, SIP/2.0/UDP 192.0.2.7;branch=2;rport",
        "Via: SIP/2.0/UDP h;rport=40123;received=198.18.0.1, SIP/2.0/UDP 192.0.2.7;branch=2;rport",
    ),
    (
        "Via: SIP/2.0/UDP h,SIP/2.0/TCP i;received=1.2.3.4",
        "Via: SIP/2.0/UDP h;received=198.18.0.1,SIP/2.0/TCP i;received=1.2.3.4",
    ),
    (
        "v: SIP/2.0/UDP h;b=\",\"\r\n ,\r\n SIP/2.0/UDP i",
        "v: SIP/2.0/UDP h;b=\",\";received=198.18.0.1\r\n ,\r\n SIP/2.0/UDP i",
    ),
    // Comments, which may contain separators (RFC 2543 section 6.40).
    ("Via: SIP/2.0/UDP h;branch=1 (a, ;(b\\)) c)", "Via: SIP/2.0/UDP h;branch=1;received=198.18.0.1 (a, ;(b\\)) c)"),
    ("Via: SIP/2.0/UDP h (c) , SIP/2.0/UDP i", "Via: SIP/2.0/UDP h;received=198.18.0.1 (c) , SIP/2.0/UDP i"),
];

/// Malformed Via headers in the request and in the response, which is Kamailio's where Kamailio sends one.
const MALFORMED: &[(&str, &str)] = &[
    // Doubled parameters: the last one counts.
    ("Via: SIP/2.0/UDP h;rport;rport=5", "Via: SIP/2.0/UDP h;rport;rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;rport=5;x;rport", "Via: SIP/2.0/UDP h;rport=5;x;rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;branch=1;branch=2", "Via: SIP/2.0/UDP h;branch=1;branch=2;received=198.18.0.1"),
    (
        "Via: SIP/2.0/UDP h;received=1.2.3.4;received=5.6.7.8;rport",
        "Via: SIP/2.0/UDP h;received=1.2.3.4;received=198.18.0.1;rport=40123",
    ),
    // Empty parameters stay.
    ("Via: SIP/2.0/UDP h;;branch=1", "Via: SIP/2.0/UDP h;;branch=1;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;branch=1;rport;", "Via: SIP/2.0/UDP h;branch=1;rport=40123;received=198.18.0.1;"),
    ("Via: SIP/2.0/UDP h;branch=1; ; ", "Via: SIP/2.0/UDP h;branch=1;received=198.18.0.1; ; "),
    ("Via: SIP/2.0/UDP h;", "Via: SIP/2.0/UDP h;received=198.18.0.1;"),
    ("Via: SIP/2.0/UDP 198.18.0.1:5062;;", "Via: SIP/2.0/UDP 198.18.0.1:5062;;"),
    ("Via: SIP/2.0/UDP h;x;\r\n ,SIP/2.0/UDP i", "Via: SIP/2.0/UDP h;x;received=198.18.0.1;\r\n ,SIP/2.0/UDP i"),
    // Values with bytes that belong into quotes.
    ("Via: SIP/2.0/UDP h;x=<a>;rport", "Via: SIP/2.0/UDP h;x=<a>;rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;branch=z9hG4bK<1>", "Via: SIP/2.0/UDP h;branch=z9hG4bK<1>;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;rport;x=<a>", "Via: SIP/2.0/UDP h;rport=40123;x=<a>;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;x=a\\b;rport", "Via: SIP/2.0/UDP h;x=a\\b;rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;<x>;rport", "Via: SIP/2.0/UDP h;<x>;rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;=a", "Via: SIP/2.0/UDP h;=a;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;x=a b", "Via: SIP/2.0/UDP h;x=a b;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;x=a\"b\";rport", "Via: SIP/2.0/UDP h;x=a\"b\";rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;x=\"a\"b;rport", "Via: SIP/2.0/UDP h;x=\"a\"b;rport=40123;received=198.18.0.1"),
    // All of a value is replaced.
    ("Via: SIP/2.0/UDP h;rport=<5>;x", "Via: SIP/2.0/UDP h;rport=40123;x;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;rport==5", "Via: SIP/2.0/UDP h;rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h; rport = 5 6 ; x", "Via: SIP/2.0/UDP h; rport = 40123 ; x;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;received=<1.2.3.4>", "Via: SIP/2.0/UDP h;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;;received=\"1\"2;x", "Via: SIP/2.0/UDP h;;received=198.18.0.1;x"),
    ("Via: SIP/2.0/UDP h;rport 5;x", "Via: SIP/2.0/UDP h;rport=40123 5;x;received=198.18.0.1"),
    // An open quote extends to the end.
    ("Via: SIP/2.0/UDP h;x=\"a;rport", "Via: SIP/2.0/UDP h;x=\"a;rport;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;;x= \"a, SIP/2.0/UDP i ", "Via: SIP/2.0/UDP h;;x= \"a, SIP/2.0/UDP i;received=198.18.0.1 "),
    // Comments.
    (
        "Via: SIP/2.0/UDP h (a, ;b) ;x, SIP/2.0/UDP i",
        "Via: SIP/2.0/UDP h (a, ;b) ;x;received=198.18.0.1, SIP/2.0/UDP i",
    ),
    ("Via: SIP/2.0/UDP h;rport (a;b) ;x", "Via: SIP/2.0/UDP h;rport=40123 (a;b) ;x;received=198.18.0.1"),
    // An odd transport, host or port.
    ("Via: SIP/2.0/U(P 198.18.0.1;rport", "Via: SIP/2.0/U(P 198.18.0.1;rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP/TCP h;rport", "Via: SIP/2.0/UDP/TCP h;rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP <h>;rport", "Via: SIP/2.0/UDP <h>;rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h/x:5070", "Via: SIP/2.0/UDP h/x:5070;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP 198.18.0.1:0", "Via: SIP/2.0/UDP 198.18.0.1:0"),
    ("Via: SIP/2.0/UDP 198.18.0.1:", "Via: SIP/2.0/UDP 198.18.0.1:"),
    ("Via: SIP/2.0/UDP 198.18.0.1 x", "Via: SIP/2.0/UDP 198.18.0.1 x"),
    ("Via: SIP/2.0/UDP 2001:db8::1;x", "Via: SIP/2.0/UDP 2001:db8::1;x;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP ;rport", "Via: SIP/2.0/UDP ;rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;x\0y;rport", "Via: SIP/2.0/UDP h;x\0y;rport=40123;received=198.18.0.1"),
];

#[test]
fn topmost_via_gets_received_and_rport() {
    for (via, expected) in SPELLINGS.iter().chain(MALFORMED) {
        assert_eq!(respond(&invite_via(via)).top_via(), *expected, "{via:?}");
    }
}

#[test]
fn topmost_via_gets_received_and_rport_in_messages_with_bare_newlines() {
    for (via, expected) in SPELLINGS.iter().chain(MALFORMED) {
        let message = invite_via(via);
        let message: Vec<u8> = message.into_iter().filter(|byte| *byte != b'\r').collect();
        let response = respond(&message);
        assert_eq!(response.top_via(), expected.replace('\r', ""), "{via:?}");
        for name in ["via", "from", "to", "call-id", "cseq"] {
            assert!(
                response.lines(name).iter().all(|line| !line.contains(&b'\r')),
                "{name}: a repeated line ends in CRLF"
            );
        }
        assert_eq!(response.start_line, b"SIP/2.0 503 Maintenance\r\n");
        assert_eq!(response.lines("content-length"), [b"Content-Length: 0\r\n"]);
    }
}

#[test]
fn ipv6_addresses_in_sent_by_are_compared_as_numbers() {
    for (host, is_source) in [
        ("[2001:db8::1]", true),
        ("[2001:DB8::1]", true),
        ("[2001:db8:0::1]", true),
        ("[2001:0db8:0:0:0:0:0.0.0.1]", true),
        ("[2001:db8::2]", false),
        ("[2001:db8::1%eth0]", false),
        ("[]", false),
        ("[::ffff:198.18.0.1]", false),
        ("198.18.0.1", false),
        ("a.example.com", false),
    ] {
        let message = invite_via(&format!("Via: SIP/2.0/UDP {host}:5062;branch=z9hG4bK-1"));
        let reply = respond_to_frame(&Sender::ipv6().frame(&message), &template()).unwrap();
        let via = Response::parse(&Capture::parse(&reply).message).top_via();
        // Without brackets (RFC 3261 section 25.1).
        assert_eq!(via.ends_with(";branch=z9hG4bK-1;received=2001:db8::1"), !is_source, "{via}");
        assert_eq!(via.ends_with(";branch=z9hG4bK-1"), is_source, "{via}");
    }
}

#[test]
fn other_vias_are_repeated_as_they_are() {
    let vias = "Via: SIP/2.0/UDP h;rport\r\nv: SIP/2.0/UDP i;rport;received=1.2.3.4\r\nVIA:broken;;\r\n";
    let message = invite_via(&format!("{vias}Route: <sip:x>\r\nvia: SIP/2.0/UDP j"));
    let response = respond(&message);
    let expected: [&[u8]; 4] = [
        b"Via: SIP/2.0/UDP h;rport=40123;received=198.18.0.1\r\n",
        b"v: SIP/2.0/UDP i;rport;received=1.2.3.4\r\n",
        b"VIA:broken;;\r\n",
        b"via: SIP/2.0/UDP j\r\n",
    ];
    assert_eq!(response.lines("via"), expected);
}

/// Via headers in the request and in Kamailio's response after `force_rport()`.
const FORCED: &[(&str, &str)] = &[
    ("Via: SIP/2.0/UDP h:5070;branch=1", "Via: SIP/2.0/UDP h:5070;branch=1;rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP 198.18.0.1:5070;branch=1", "Via: SIP/2.0/UDP 198.18.0.1:5070;branch=1;rport=40123"),
    ("Via: SIP/2.0/UDP 198.18.0.1", "Via: SIP/2.0/UDP 198.18.0.1;rport=40123"),
    ("Via: SIP/2.0/UDP h:0", "Via: SIP/2.0/UDP h:0;rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;rport;branch=1", "Via: SIP/2.0/UDP h;rport=40123;branch=1;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;rport=7;x;rport=9", "Via: SIP/2.0/UDP h;rport=7;x;rport=40123;received=198.18.0.1"),
    ("Via: SIP/2.0/UDP h;x=\"a", "Via: SIP/2.0/UDP h;x=\"a;rport=40123;received=198.18.0.1"),
    // Not Kamailio's: received is overwritten, a comment and an empty parameter stay last, and of a list the first is
    // edited.
    (
        "Via: SIP/2.0/UDP 198.18.0.1;received=1.2.3.4;branch=1",
        "Via: SIP/2.0/UDP 198.18.0.1;received=198.18.0.1;branch=1;rport=40123",
    ),
    ("Via: SIP/2.0/UDP 198.18.0.1;x (c)", "Via: SIP/2.0/UDP 198.18.0.1;x;rport=40123 (c)"),
    ("Via: SIP/2.0/UDP 198.18.0.1;x;", "Via: SIP/2.0/UDP 198.18.0.1;x;rport=40123;"),
    (
        "Via: SIP/2.0/UDP 198.18.0.1;x, SIP/2.0/UDP i;rport=9",
        "Via: SIP/2.0/UDP 198.18.0.1;x;rport=40123, SIP/2.0/UDP i;rport=9",
    ),
];

#[test]
fn forced_rport_is_added_to_the_topmost_via_and_the_response_goes_to_the_source_port() {
    let template = template().with_forced_rport(true);
    for (via, expected) in FORCED {
        let reply = respond_to_frame(&Sender::default().frame(&invite_via(via)), &template);
        let reply = Capture::parse(&reply.unwrap_or_else(|reason| panic!("{via}: {}", reason.name())));
        assert_eq!(Response::parse(&reply.message).top_via(), *expected, "{via:?}");
        assert_eq!(reply.destination.to_string(), "198.18.0.1:40123", "{via}");
    }
    let forced = template.with_forced_rport(false);
    let reply = respond_to_frame(&Sender::default().frame(&invite_via("Via: SIP/2.0/UDP h:5070")), &forced).unwrap();
    assert_eq!(Capture::parse(&reply).destination.port(), 5070);
}

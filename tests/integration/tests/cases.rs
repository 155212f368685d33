//! Messages as people have posted them in bug reports, sent end to end: refused with the right response, or passed.
//!
//! `tests/cases/README.md` says where they come from, and why each gets what it gets.
#![cfg(test)]

use std::collections::HashMap;
use std::fs;

use filter_common::verdict::Verdict;
use filter_integration::raw::{CALLER_PORT, Fate, Rig, SILENCE, TIMEOUT, header_lines};
use filter_lab::corpus;
use filter_lab::daemon::Daemon;
use filter_lab::packet::Packet;
use filter_lab::wire::{End, Family, PROXY_INTERFACE};
use rstest::rstest;
use serde_json::Value;

/// Returns the content of a message's file.
#[track_caller]
fn message(file: &str) -> Vec<u8> {
    let path = corpus::cases().join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

/// Returns the verdict of Kamailio on each message: `503`, `pass` or `silent`.
fn kamailio_verdicts() -> HashMap<String, String> {
    let lines = fs::read_to_string(corpus::cases().join("kamailio.jsonl")).unwrap();
    let parse = |line: &str| {
        let json: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| json[key].as_str().unwrap().to_owned();
        (text("file"), text("verdict"))
    };
    lines.lines().map(parse).collect()
}

/// Starts a daemon with maintenance on.
#[track_caller]
fn in_maintenance(options: &[&str]) -> (Rig, Daemon) {
    let rig = Rig::new();
    let daemon = rig.lab.filter.start(&[&["--iface", PROXY_INTERFACE], options].concat());
    rig.lab.filter.run(&["on"]);
    (rig, daemon)
}

/// Sends the message in `file` and returns the response. Asserts that it is the only one, that it goes to `port`, and
/// that it repeats the headers of the message, with `top_via` in place of the topmost Via.
#[track_caller]
fn expect_refused(rig: &Rig, file: &str, port: u16, top_via: &str) -> Packet {
    let request = message(file);
    let Fate::Answered(response) = rig.send(file, &request, TIMEOUT) else { panic!("{file}: no response") };
    assert_eq!(response.destination, (End::Caller.address(Family::V4), port).into(), "{file}");
    assert!(response.payload.starts_with(b"SIP/2.0 503 "), "{file}: {}", response.payload.escape_ascii());
    // As text, so that a failure is readable.
    let text = |line: Vec<u8>| line.escape_ascii().to_string();
    let lines = |full: &str, compact: &str| {
        [&request, &response.payload]
            .map(|message| header_lines(message, full, compact).into_iter().map(text).collect())
    };
    let [mut expected, vias]: [Vec<String>; 2] = lines("Via", "v");
    expected[0] = top_via.into();
    assert_eq!(vias, expected, "{file}: Via");
    for (full, compact) in [("From", "f"), ("Call-ID", "i"), ("CSeq", "")] {
        let [expected, repeated]: [Vec<String>; 2] = lines(full, compact);
        assert_eq!(repeated, expected, "{file}: {full}");
    }
    let [sent, repeated] = lines("To", "t").map(|lines: Vec<String>| lines.concat());
    let tag = repeated.strip_prefix(&*sent).and_then(|rest| rest.strip_prefix(";tag="));
    assert!(tag.is_some_and(|tag| tag.len() == 24), "{file}: {repeated}");
    assert_eq!(rig.response(SILENCE), None, "{file}: a second response");
    response
}

/// Sends the message in `file`. Asserts that it reaches the proxy as it is, and gets no response.
#[track_caller]
fn expect_passed(rig: &Rig, file: &str) {
    match rig.send(file, &message(file), TIMEOUT) {
        Fate::Reached => {}
        other => panic!("{file}: {other:?}"),
    }
    assert_eq!(rig.response(SILENCE), None, "{file}: a response to a message that has passed");
}

#[rstest]
#[case::via_rport_twice(
    "via-rport-twice.sip",
    CALLER_PORT,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-vrt;rport;rport=5062;received=198.18.0.1"
)]
#[case::via_trailing_semicolon(
    "via-trailing-semicolon.sip",
    CALLER_PORT,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-vts;rport=5062;received=198.18.0.1;"
)]
#[case::altice_semicolon_and_space_at_the_end(
    "altice-semicolon-and-space-at-the-end.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-semicolon-space;received=198.18.0.1;"
)]
#[case::digest_invite_1(
    "digest-invite-1.sip",
    CALLER_PORT,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-dg1;rport=5062;received=198.18.0.1"
)]
#[case::digest_invite_2(
    "digest-invite-2.sip",
    CALLER_PORT,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-dg2;rport=5062;received=198.18.0.1"
)]
#[case::emergency_prefix_9911(
    "emergency-prefix-9911.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-emergency-prefix-9911;received=198.18.0.1"
)]
#[case::nat_no_rport(
    "nat-no-rport.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.99:5060;branch=z9hG4bK-nnr;received=198.18.0.1"
)]
#[case::transfer_referred_by(
    "transfer-referred-by.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-transfer-referred-by;received=198.18.0.1"
)]
#[case::spiral_b_leg(
    "spiral-b-leg.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK-cd0f.1;received=198.18.0.1,SIP/2.0/UDP 198.51.100.10:5060\
     ;branch=z9hG4bK-sbl;rport=5060"
)]
#[case::broadworks_diversion_folded(
    "broadworks-diversion-folded.sip",
    5060,
    "Via:SIP/2.0/UDP 198.51.100.10;branch=z9hG4bKBroadWorks.abc123-198.51.100.1V5060-0-1001-123456789-1500000000000\
     ;received=198.18.0.1"
)]
#[case::cisco_double_quotes_to(
    "cisco-double-quotes-to.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-cisco-double-quotes-to;received=198.18.0.1"
)]
#[case::huawei_via_comma_role(
    "huawei-via-comma-role.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bKc0gcigg3ehiib3b31u421u3z3;Role=3;Dpt=8816_16\
     ;TRC=ffffffff-ffffffff;received=198.18.0.1,SIP/2.0/UDP 198.51.100.13:5060\
     ;branch=z9hG4bK2iz41ez3f0euede0i31cezz14;Role=3;Dpt=8812_16;TRC=ffffffff-ffffffff\
     ,SIP/2.0/UDP 198.51.100.15:55795;branch=z9hG4bK0342nc03k4spkil8jz1213mm8T25093;rport=55795"
)]
#[case::ims_tel_to_plus_branch(
    "ims-tel-to-plus-branch.sip",
    6000,
    "Via: SIP/2.0/UDP 198.51.100.10:6000;branch=z9hG4bK+0123456789abcdef0123456789abcdef1+sip+1+a64e8b3c;keep\
     ;received=198.18.0.1"
)]
#[case::latin1_name_to_from(
    "latin1-name-to-from.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-latin1-name-to-from;received=198.18.0.1"
)]
#[case::ocs_empty_name_epid_new(
    "ocs-empty-name-epid-new.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-ocs-empty-name-epid-new;received=198.18.0.1"
)]
#[case::sonus_isup_multipart(
    "sonus-isup-multipart.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK00B1a2b3c4d5e6f708;received=198.18.0.1"
)]
#[case::teams_hash_user(
    "teams-hash-user.sip",
    5060,
    "VIA: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-thu;received=198.18.0.1"
)]
#[case::aspect_cseq_0(
    "aspect-cseq-0.sip",
    CALLER_PORT,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;rport=5062;branch=z9hG4bK-a9909-2965cc6d-3d8d41bd;received=198.18.0.1"
)]
#[case::asterisk_ws_alias(
    "asterisk-ws-alias.sip",
    CALLER_PORT,
    "Via: SIP/2.0/WS 198.51.100.10:8088;rport=5062;branch=z9hG4bKPj4be6ed2b-f0da-4b4c-a4e8-616ff1096e60;alias\
     ;received=198.18.0.1"
)]
#[case::avaya_portal_bare_to(
    "avaya-portal-bare-to.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10;branch=z9hG4bK7ed75d57c1fbe31a9dc00538ad6c4;received=198.18.0.1"
)]
#[case::cisco_gateway_timestamp(
    "cisco-gateway-timestamp.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK24E9;received=198.18.0.1"
)]
#[case::drachtio_alert_info_words(
    "drachtio-alert-info-words.sip",
    CALLER_PORT,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;rport=5062;branch=z9hG4bK-alert;received=198.18.0.1"
)]
#[case::drachtio_branch_without_cookie(
    "drachtio-branch-without-cookie.sip",
    10040,
    "Via: SIP/2.0/UDP 203.0.113.40:10040;branch=a73fb7b9;received=198.18.0.1"
)]
#[case::ersip_from_comma_unquoted(
    "ersip-from-comma-unquoted.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-from-comma;received=198.18.0.1"
)]
#[case::freeswitch_contact_user_semicolon(
    "freeswitch-contact-user-semicolon.sip",
    5080,
    "Via: SIP/2.0/UDP 198.51.100.10:5080;branch=z9hG4bK.user-semicolon;received=198.18.0.1"
)]
#[case::jain_own_received(
    "jain-own-received.sip",
    CALLER_PORT,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;rport=5062;branch=z9hG4bKa3d95f1d12d7b336;received=198.18.0.1"
)]
#[case::jitsi_ipv6_zeros(
    "jitsi-ipv6-zeros.sip",
    5070,
    "Via: SIP/2.0/UDP [2001:db8:3:1:0:0:0:0]:5070;branch=z9hG4bK-393032-567b1c47371a83386f685807100ab5bd\
     ;received=198.18.0.1"
)]
#[case::linphone_vias_among_record_routes(
    "linphone-vias-among-record-routes.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10;branch=z9hG4bKe2a5.4a122eb8a4f73d90907b65cd4ddab597.0;i=2;received=198.18.0.1"
)]
#[case::sipp_content_length_negative(
    "sipp-content-length-negative.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-1-1-0;received=198.18.0.1"
)]
#[case::sngrep_cseq_too_large(
    "sngrep-cseq-too-large.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-cseq-large;received=198.18.0.1"
)]
#[case::sngrep_uri_without_host(
    "sngrep-uri-without-host.sip",
    CALLER_PORT,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-nohost;rport=5062;received=198.18.0.1"
)]
#[case::sofia_sent_by_unspecified(
    "sofia-sent-by-unspecified.sip",
    CALLER_PORT,
    "Via: SIP/2.0/UDP 0.0.0.0:64135;rport=5062;received=198.18.0.1;branch=z9hG4bK1213005543"
)]
#[case::teams_transfer_uri_without_user(
    "teams-transfer-uri-without-user.sip",
    5061,
    "Via: SIP/2.0/UDP 198.51.100.10:5061;branch=z9hG4bKvahihb0040adpr8tb320.1;received=198.18.0.1"
)]
#[case::telnyx_compact_and_long_vias(
    "telnyx-compact-and-long-vias.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10;branch=z9hG4bK6058.4f73236ff4a9622149aa573db47b68df.0;received=198.18.0.1"
)]
#[case::twilio_via_after_call_id(
    "twilio-via-after-call-id.sip",
    5060,
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bKe0ff.69bd5681.0;received=198.18.0.1"
)]
#[case::volte_phone_context_user(
    "volte-phone-context-user.sip",
    8902,
    "v: SIP/2.0/UDP 198.51.100.10:8902;branch=z9hG4bK3108107168smg;transport=UDP;received=198.18.0.1"
)]
fn message_is_refused(#[case] file: &str, #[case] port: u16, #[case] top_via: &str) {
    // A call that Kamailio would set up must never be refused.
    assert_ne!(kamailio_verdicts()[file], "pass", "{file}");
    let (rig, _daemon) = in_maintenance(&[]);
    expect_refused(&rig, file, port, top_via);
}

#[rstest]
#[case::asterisk_4000_bytes_of_headers("asterisk-4000-bytes-of-headers.sip")]
#[case::cancel_of_refused("cancel-of-refused.sip")]
#[case::comma_display_unquoted("comma-display-unquoted.sip")]
#[case::digest_ack_407("digest-ack-407.sip")]
#[case::emergency_ecall_msd_binary("emergency-ecall-msd-binary.sip")]
#[case::emergency_geolocation_twice("emergency-geolocation-twice.sip")]
#[case::emergency_priority_pjsip("emergency-priority-pjsip.sip")]
#[case::identity_shaken_and_div("identity-shaken-and-div.sip")]
#[case::ocs_empty_name_epid_in_dialog("ocs-empty-name-epid-in-dialog.sip")]
#[case::options_ping_teams("options-ping-teams.sip")]
#[case::sipsorcery_attended_transfer("sipsorcery-attended-transfer.sip")]
#[case::snom_no_empty_line("snom-no-empty-line.sip")]
#[case::to_trailing_semicolon("to-trailing-semicolon.sip")]
fn message_reaches_the_proxy(#[case] file: &str) {
    let (rig, _daemon) = in_maintenance(&[]);
    expect_passed(&rig, file);
}

#[test]
fn message_without_rport_is_answered_at_its_source_port_with_force_rport() {
    let (rig, _daemon) = in_maintenance(&["--force-rport"]);
    let via = "Via: SIP/2.0/UDP 198.51.100.99:5060;branch=z9hG4bK-nnr;rport=5062;received=198.18.0.1";
    expect_refused(&rig, "nat-no-rport.sip", CALLER_PORT, via);
}

#[test]
fn ack_with_another_branch_than_its_invite_is_absorbed() {
    let (rig, _daemon) = in_maintenance(&[]);
    let via = "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK-dg1;rport=5062;received=198.18.0.1";
    let response = expect_refused(&rig, "digest-invite-1.sip", CALLER_PORT, via);
    let to = String::from_utf8(header_lines(&response.payload, "To", "t").concat()).unwrap();
    let (_, tag) = to.split_once(";tag=").unwrap();
    let file = "ack-other-branch.sip";
    let ack = String::from_utf8(message(file)).unwrap().replace("REPLACE-WITH-TAG-OF-503", tag);
    let fate = rig.send(file, ack.as_bytes(), SILENCE);
    assert!(matches!(fate, Fate::Lost), "{fate:?}");
    assert_eq!(rig.lab.filter.stats().verdict(Verdict::AckAbsorbed), 1);
}

#[rstest]
#[case::transfer_referred_by("transfer-referred-by.sip", &["bypass", "add", "198.18.0.1"])]
#[case::spiral_b_leg("spiral-b-leg.sip", &["bypass", "add", "198.18.0.1"])]
#[case::emergency_prefix_9911("emergency-prefix-9911.sip", &["emergency", "add", "9911"])]
fn message_that_an_operator_has_exempted_reaches_the_proxy(#[case] file: &str, #[case] command: &[&str]) {
    let (rig, _daemon) = in_maintenance(&[]);
    rig.lab.filter.run(command);
    expect_passed(&rig, file);
}

#[test]
fn readme_and_kamailio_have_a_line_for_each_message() {
    let readme = fs::read_to_string(corpus::cases().join("README.md")).unwrap();
    let verdicts = kamailio_verdicts();
    let entries = fs::read_dir(corpus::cases()).unwrap().map(|entry| entry.unwrap().path());
    let messages = entries.filter(|path| path.extension().is_some_and(|extension| extension == "sip"));
    let messages: Vec<String> = messages.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    for file in &messages {
        let row = format!("| {} |", file.trim_end_matches(".sip"));
        assert_eq!(readme.matches(&row).count(), 1, "rows of README.md with {file}");
        assert!(verdicts.contains_key(file), "kamailio.jsonl has no line of {file}");
    }
    assert_eq!(verdicts.len(), messages.len(), "lines of kamailio.jsonl (left) and messages (right)");
}

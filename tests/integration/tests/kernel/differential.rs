//! The kernel's decision and the host grammar's on the same mutated messages: they must never differ.

use std::collections::BTreeMap;

use filter_common::sip::{Decision, Method, classify};
use filter_common::verdict::Verdict;
use filter_lab::random::Random;

use crate::rig::{Rig, TAG_PREFIX, expected, invite, ipv4, octets};

/// How many mutated messages are tried, by each of two threads, unless `SIP_FILTER_TEST_MESSAGES` says another number, as
/// it does in an emulated machine.
const MESSAGES: usize = 500_000;

fn messages() -> usize {
    std::env::var("SIP_FILTER_TEST_MESSAGES").map_or(MESSAGES, |number| number.parse().expect("a number of messages"))
}

/// Octets and pieces that mean something to the grammar.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b";",
    b"=",
    b",",
    b"\"",
    b"\\",
    b"<",
    b">",
    b"\0",
    b"\x7f",
    b"\xff",
    b"t",
    b"T",
    b"to",
    b"To:",
    b"\r\nTo: ",
    b"\nt:",
    b"\r\n ",
    b"\n\t",
    b"tag",
    b";tag=",
    b";TAG = 1",
    b";tag=\"\"",
    b";tag=\"x\"",
    b"\r\n\r\n",
    b"SIP/2.0",
    b"INVITE ",
    b"ACK ",
    b"SUBSCRIBE ",
    b"ourtag01",
    b"\r\nPriority: emergency",
    b"\r\nPriority:",
    b"\r\nResource-Priority: ",
    b"ets.0",
    b"wps.1",
    b", ",
    b"\r\nReplaces: a",
    b"\r\nJoin:",
    b"urn:service:sos",
];

fn mutate(message: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        // Most mutations near the To header, where the grammar is.
        let to = message.windows(4).position(|four| four.eq_ignore_ascii_case(b"\nto:")).unwrap_or(0);
        let at = if random.below(3) > 0 { to + random.below(80) } else { random.below(message.len() + 1) };
        let at = at.min(message.len());
        let piece = PIECES[random.below(PIECES.len())];
        match random.below(4) {
            0 => drop(message.splice(at..at, piece.iter().copied())),
            1 => {
                let end = (at + piece.len()).min(message.len());
                drop(message.splice(at..end, piece.iter().copied()));
            }
            2 => {
                let end = (at + random.below(12)).min(message.len());
                drop(message.drain(at..end));
            }
            _ => {
                if let Some(octet) = message.get_mut(at) {
                    *octet = random.number() as u8;
                }
            }
        }
    }
}

/// Messages to begin with: the corpus, and what it has nothing of.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = crate::corpus::messages().into_iter().map(|(_, message)| message).collect();
    let our_tag = String::from_utf8_lossy(&TAG_PREFIX).into_owned();
    for to in [
        "To: <sip:bob@198.18.0.2>\r\nPriority: emergency",
        "Resource-Priority: dsn.flash, wps.2\r\nTo: <sip:bob@198.18.0.2>",
        "To: <sip:bob@198.18.0.2>\r\nReplaces: a@b;to-tag=1;from-tag=2",
        &format!("To: <sip:bob@198.18.0.2>;tag={our_tag}0123456789abcdef"),
    ] {
        let message = invite(to);
        seeds.push([b"ACK".as_slice(), &message[6..]].concat());
        seeds.push([b"SUBSCRIBE".as_slice(), &message[6..]].concat());
        seeds.push(message);
    }
    seeds
}

/// The verdict that the host makes of a message when all methods are refused.
fn verdict_of_host(message: &[u8]) -> Verdict {
    let request = classify(message);
    match request {
        Some(request) if request.method == Method::Ack => {
            let tag = message.get(request.tag as usize..).unwrap_or_default();
            let ours = request.decision == Decision::InDialog && tag.starts_with(&TAG_PREFIX);
            if ours { Verdict::AckAbsorbed } else { Verdict::NotInvite }
        }
        Some(mut request) if request.method != Method::Invite => {
            request.method = Method::Invite;
            match expected(Some(request)) {
                Verdict::Redirected => Verdict::RedirectedMethod,
                other => other,
            }
        }
        request => expected(request),
    }
}

/// The frame around a message, without building its headers anew each time: lengths and source are put in. Each round has
/// a source of its own, for a message that has been seen before would pass for that reason.
fn frame(headers: &[u8], message: &[u8], round: usize) -> Vec<u8> {
    let mut frame = [headers, message].concat();
    let [_, host, port @ ..] = (round as u32).to_be_bytes();
    frame[29] = host;
    frame[16..18].copy_from_slice(&(20 + 8 + message.len() as u16).to_be_bytes());
    frame[34..36].copy_from_slice(&port);
    frame[38..40].copy_from_slice(&(8 + message.len() as u16).to_be_bytes());
    frame
}

fn compare(seed: u64) {
    let seeds = seeds();
    let headers = octets(&ipv4(b""));
    let mut rig = Rig::on();
    rig.set_policy(|policy| policy.methods = u32::MAX);
    let mut random = Random(seed);
    let mut verdicts = BTreeMap::new();
    for round in 0..messages() {
        let mut message = seeds[random.below(seeds.len())].clone();
        mutate(&mut message, &mut random);
        message.truncate(1400);
        let host = verdict_of_host(&message);
        let action = rig.action(&frame(&headers, &message, round));
        let kernel_agrees = match action {
            crate::rig::XDP_REDIRECT => host.is_redirect(),
            crate::rig::XDP_DROP => host == Verdict::AckAbsorbed,
            _ => !host.is_redirect() && host != Verdict::AckAbsorbed,
        };
        assert!(kernel_agrees, "round {round}: host {host:?}, kernel {action}: {}", message.escape_ascii());
        *verdicts.entry(host.name()).or_insert(0) += 1;
    }
    // The counters tell what the action does not: why a message passed.
    let counted: BTreeMap<&str, u64> = rig
        .verdicts()
        .iter()
        .filter(|(_, packets)| *packets > 0)
        .map(|(verdict, packets)| (verdict.name(), *packets))
        .collect();
    assert_eq!(counted, verdicts);
    for name in ["redirected", "redirected_method", "in_dialog", "undecided", "emergency", "replaces", "ack_absorbed"] {
        let found = verdicts.get(name).copied().unwrap_or_default();
        assert!(found > messages() as u64 / 1000, "only {found} messages were {name}: the mutations are off the mark");
    }
}

#[test]
fn kernel_and_host_decide_alike_on_a_million_mutated_messages() {
    std::thread::scope(|scope| {
        scope.spawn(|| compare(0x5eed_0005_0600_0001));
        scope.spawn(|| compare(0x5eed_0005_0600_0002));
    });
}

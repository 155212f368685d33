//! The kernel's decision and the host grammar's on the same mutated messages: they must never differ.

use std::collections::BTreeMap;
use std::thread;

use filter_common::maps::InterfaceState;
use filter_common::sip::{Decision, Method, classify, may_hold_several};
use filter_common::verdict::Verdict;
use filter_lab::mutation::WORDS;
use filter_lab::random::Random;

use crate::corpus;
use crate::rig::{Rig, TAG_PREFIX, XDP_DROP, XDP_REDIRECT, expected_verdict, invite, ipv4};

/// Number of mutated messages that each of the two threads tries.
const MESSAGES: usize = 500_000;

/// Returns [`MESSAGES`], or the number in `SIP_FILTER_TEST_MESSAGES`, which the emulated machines of
/// `cargo xtask kernels` set lower.
#[track_caller]
fn message_count() -> usize {
    let parse = |number: String| {
        number.parse().unwrap_or_else(|error| panic!("SIP_FILTER_TEST_MESSAGES is {number:?}: {error}"))
    };
    std::env::var("SIP_FILTER_TEST_MESSAGES").map_or(MESSAGES, parse)
}

/// Changes `message` in one to four places.
fn mutate(message: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        // Two of three mutations are near the To header, the only header that the grammar parses in depth.
        let to = message.windows(4).position(|four| four.eq_ignore_ascii_case(b"\nto:")).unwrap_or(0);
        let at = if random.below(3) > 0 { to + random.below(80) } else { random.below(message.len() + 1) };
        let at = at.min(message.len());
        let word = random.one_of(WORDS);
        match random.below(4) {
            0 => drop(message.splice(at..at, word.iter().copied())),
            1 => {
                let end = (at + word.len()).min(message.len());
                drop(message.splice(at..end, word.iter().copied()));
            }
            2 => {
                let end = (at + random.below(12)).min(message.len());
                drop(message.drain(at..end));
            }
            _ => {
                if let Some(byte) = message.get_mut(at) {
                    *byte = random.number() as u8;
                }
            }
        }
    }
}

/// Returns the messages to mutate: the corpus, and kinds of requests that the corpus lacks.
#[track_caller]
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = corpus::messages().into_iter().map(|(_, message)| message).collect();
    let our_tag = String::from_utf8_lossy(&TAG_PREFIX).into_owned();
    for to in [
        "To: <sip:bob@198.18.0.2>\r\nPriority: emergency",
        "Resource-Priority: dsn.flash, wps.2\r\nTo: <sip:bob@198.18.0.2>",
        "To: <sip:bob@198.18.0.2>\r\nReplaces: a@b;to-tag=1;from-tag=2",
        &format!("To: <sip:bob@198.18.0.2>;tag={our_tag}0123456789abcdef"),
    ] {
        let message = invite(to);
        let after_method = &message["INVITE".len()..];
        seeds.push([b"ACK", after_method].concat());
        seeds.push([b"SUBSCRIBE", after_method].concat());
        seeds.push(message);
    }
    seeds
}

/// Returns the verdict that follows from the host grammar's reading of `message` if all methods are refused.
fn host_verdict(message: &[u8]) -> Verdict {
    match classify(message) {
        Some(request) if request.method == Method::Ack => {
            let tag = message.get(request.tag as usize..).unwrap_or_default();
            let ours = request.decision == Decision::InDialog && tag.starts_with(&TAG_PREFIX);
            if ours { Verdict::AckAbsorbed } else { Verdict::NotInvite }
        }
        Some(mut request) if request.method != Method::Invite => {
            request.method = Method::Invite;
            match expected_verdict(Some(request)) {
                Verdict::Redirected => Verdict::RedirectedMethod,
                other => other,
            }
        }
        request => expected_verdict(request),
    }
}

/// Returns whether another message may follow a new request in its datagram.
fn is_followed(message: &[u8]) -> bool {
    classify(message).is_some_and(|request| may_hold_several(message, request.headers_end))
}

/// Returns the frame with `headers` around `message`. Only the lengths and the source are filled in, since building the
/// headers again for each message would take most of the time.
///
/// Each round has its own source. Otherwise a message seen before would pass as a retransmission.
fn frame(headers: &[u8], message: &[u8], round: usize) -> Vec<u8> {
    let mut frame = [headers, message].concat();
    let [_, host, port @ ..] = (round as u32).to_be_bytes();
    // 198.19.0.0/16, in which the host has no address of its own.
    (frame[27], frame[29]) = (19, host);
    frame[16..18].copy_from_slice(&(20 + 8 + message.len() as u16).to_be_bytes());
    frame[34..36].copy_from_slice(&port);
    frame[38..40].copy_from_slice(&(8 + message.len() as u16).to_be_bytes());
    frame
}

/// Compares kernel and host on mutated messages, made from the random numbers of `seed`. With the flag
/// [`InterfaceState::GENERIC`], a message that another one may follow must pass.
fn compare(seed: u64, flags: u32) {
    let (seeds, count) = (seeds(), message_count());
    let headers = ipv4(b"");
    let mut rig = Rig::in_maintenance();
    rig.set_policy(|policy| policy.methods = u32::MAX);
    rig.set_interface(flags, 1500);
    let mut random = Random(seed);
    let mut verdicts = BTreeMap::new();
    for round in 0..count {
        let mut message = seeds[random.below(seeds.len())].clone();
        mutate(&mut message, &mut random);
        message.truncate(1400);
        let host = match host_verdict(&message) {
            Verdict::Redirected | Verdict::RedirectedMethod if flags != 0 && is_followed(&message) => Verdict::Merged,
            verdict => verdict,
        };
        let action = rig.action(&frame(&headers, &message, round));
        let kernel_agrees = match action {
            XDP_REDIRECT => host.is_redirect(),
            XDP_DROP => host == Verdict::AckAbsorbed,
            _ => !host.is_redirect() && host != Verdict::AckAbsorbed,
        };
        assert!(
            kernel_agrees,
            "seed {seed:#x}, round {round}: host {host:?}, XDP action {action}: {}",
            message.escape_ascii()
        );
        *verdicts.entry(host.name()).or_insert(0) += 1;
    }
    // The action alone does not say why a message passed. The counters do.
    let counted: BTreeMap<&str, u64> = rig
        .verdicts()
        .iter()
        .filter(|(_, packets)| *packets > 0)
        .map(|(verdict, packets)| (verdict.name(), *packets))
        .collect();
    assert_eq!(counted, verdicts, "verdicts of the kernel (left) and of the host (right), seed {seed:#x}");
    for name in ["redirected", "redirected_method", "in_dialog", "undecided", "emergency", "replaces", "ack_absorbed"] {
        let found = verdicts.get(name).copied().unwrap_or_default();
        assert!(found > count as u64 / 1000, "only {found} of {count} messages were {name}: adjust the mutations");
    }
}

#[test]
fn kernel_and_host_grammar_agree_on_a_million_mutated_messages() {
    thread::scope(|scope| {
        scope.spawn(|| compare(0x5eed_0005_0600_0001, 0));
        scope.spawn(|| compare(0x5eed_0005_0600_0002, InterfaceState::GENERIC));
    });
}

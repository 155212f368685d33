//! The kernel's decision and the host grammar's on the same mutated messages: they must never differ.

use filter_common::sip::{Decision, classify};
use filter_common::verdict::Verdict;

use crate::rig::{Rig, ipv4, octets};

/// How many mutated messages are tried.
const MESSAGES: usize = 200_000;

/// A small generator of pseudo-random numbers (xorshift64*), seeded so that a failure can be had again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
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
                    *octet = random.next() as u8;
                }
            }
        }
    }
}

#[test]
fn kernel_and_host_decide_alike_on_mutated_messages() {
    let seeds: Vec<Vec<u8>> = crate::corpus::messages().into_iter().map(|(_, message)| message).collect();
    let mut rig = Rig::on();
    let mut random = Random(0x5eed_0005_0600_0001);
    let mut decisions = [0_usize; 4];
    for round in 0..MESSAGES {
        let mut message = seeds[random.below(seeds.len())].clone();
        mutate(&mut message, &mut random);
        message.truncate(1400);
        let host = classify(&message);
        let redirected = rig.action(&octets(&ipv4(&message))) == crate::rig::XDP_REDIRECT;
        assert_eq!(
            redirected,
            host == Some(Decision::New),
            "round {round}: host {host:?}, kernel {redirected}: {:?}",
            message.escape_ascii().to_string()
        );
        decisions[host.map_or(3, |decision| decision as usize)] += 1;
    }
    // The counters tell what the action does not: in dialog or undecided.
    let count = |wanted: Verdict| {
        let verdicts = rig.verdicts();
        verdicts.iter().find(|(verdict, _)| *verdict == wanted).map_or(0, |(_, packets)| *packets as usize)
    };
    let [new, in_dialog, undecided, not_invite] = decisions;
    assert_eq!(count(Verdict::Redirected), new);
    assert_eq!(count(Verdict::InDialog), in_dialog);
    assert_eq!(count(Verdict::Undecided), undecided);
    assert_eq!(count(Verdict::NotInvite), not_invite);
    for (decision, messages) in [("new", new), ("in dialog", in_dialog), ("undecided", undecided)] {
        assert!(messages > MESSAGES / 50, "only {messages} messages were {decision}: the mutations are off the mark");
    }
}

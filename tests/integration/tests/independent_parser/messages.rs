//! What the parsers are asked about: the corpus, To headers made of pieces, and mutated messages.

use std::fs;

use filter_lab::random::Random;

/// How many To headers, and how many mutated messages.
pub(crate) const EACH: usize = 100_000;

/// The messages of the corpus.
pub(crate) fn corpus() -> Vec<Vec<u8>> {
    let files = fs::read_dir(filter_lab::corpus::folder()).expect("the corpus").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|extension| extension == "sip")).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("a message")).collect()
}

/// How To headers begin, up to where parameters may.
const ADDRESSES: &[&str] = &[
    "<sip:bob@198.18.0.2>",
    "sip:bob@198.18.0.2",
    "Bob <sip:bob@198.18.0.2>",
    "\"Bob\" <sip:bob@198.18.0.2;tag=uri>",
    "\"B;tag=1\" <sips:bob@example.com>",
    "\"B\\\"ob\"<sip:bob@[2001:db8::1]:5060>",
    "",
];

/// What may follow, right or wrong.
const PIECES: &[&str] = &[
    ";tag=1",
    ";tag=1",
    ";TAG=1",
    ";tag",
    ";tag=",
    ";tag=\"\"",
    ";tag=\"x\"",
    ";tags=1",
    ";%74ag=1",
    ";x=1",
    ";x",
    ";x=\";tag=1\"",
    ";",
    "=",
    ",",
    "\"",
    "\\",
    "<",
    ">",
    " ",
    "\t",
    "\r\n ",
    "\n\t",
    "t",
    "a",
    "g",
    "1",
    ":",
    "?",
    "@",
    "(",
    "\u{fc}",
    "%74",
];

/// An INVITE with a To header made of pieces.
pub(crate) fn made_up(random: &mut Random) -> Vec<u8> {
    let name = random.one_of(&["To: ", "To:", "t: ", "TO : ", "To:\r\n "]);
    let mut to = [name, random.one_of(ADDRESSES)].concat();
    for _ in 0..random.below(6) {
        let piece = random.one_of(PIECES);
        // Mostly behind what is there.
        let at = if random.below(4) > 0 { to.len() } else { random.below(to.len()) };
        let at = if to.is_char_boundary(at) { at } else { to.len() };
        to.insert_str(at, piece);
    }
    format!(
        "INVITE sip:bob@198.18.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 198.18.0.1;branch=z9hG4bKx\r\n\
         From: <sip:alice@198.18.0.1>;tag=from\r\n{to}\r\nCall-ID: x@198.18.0.1\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\n"
    )
    .into_bytes()
}

/// Octets and words that mean something somewhere in a message.
const WORDS: &[&[u8]] = &[
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
    b"\xff",
    b"To:",
    b"\r\nTo: ",
    b"\nt:",
    b"\r\n ",
    b"tag",
    b";tag=",
    b";TAG = 1",
    b";tag=\"x\"",
    b"\r\n\r\n",
    b"SIP/2.0",
    b"INVITE ",
    b"X",
];

/// One of `seeds` with up to three changes.
pub(crate) fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut message = seeds[random.below(seeds.len())].clone();
    message.truncate(1400);
    for _ in 0..=random.below(3) {
        let word = random.one_of(WORDS);
        let at = random.below(message.len() + 1);
        let end = match random.below(3) {
            0 => at,
            1 => (at + word.len()).min(message.len()),
            _ => (at + random.below(12)).min(message.len()),
        };
        message.splice(at..end, word.iter().copied());
    }
    message
}

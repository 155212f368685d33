//! The messages to compare on: the corpus, INVITEs with generated To headers, and mutated messages.

use std::fs;
use std::path::PathBuf;

use filter_lab::corpus;
use filter_lab::mutation::WORDS;
use filter_lab::random::Random;

/// Number of INVITEs with a generated To header, and of mutated messages.
pub(crate) const EACH: usize = 100_000;

/// Returns the messages of the corpus, in the order of their file names.
#[track_caller]
pub(crate) fn corpus() -> Vec<Vec<u8>> {
    let folder = corpus::folder();
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("read the folder {}: {error}", folder.display()));
    let files = entries.map(|entry| entry.expect("read an entry of the corpus").path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|extension| extension == "sip")).collect();
    files.sort();
    let read = |file: &PathBuf| fs::read(file).unwrap_or_else(|error| panic!("read {}: {error}", file.display()));
    files.iter().map(read).collect()
}

/// Beginnings of To values, up to the first parameter.
const ADDRESSES: &[&str] = &[
    "<sip:bob@198.18.0.2>",
    "sip:bob@198.18.0.2",
    "Bob <sip:bob@198.18.0.2>",
    "\"Bob\" <sip:bob@198.18.0.2;tag=uri>",
    "\"B;tag=1\" <sips:bob@example.com>",
    "\"B\\\"ob\"<sip:bob@[2001:db8::1]:5060>",
    "",
];

/// Pieces to insert into a To header, well-formed or not.
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

/// Returns an INVITE with a To header of up to five random pieces.
pub(crate) fn generated(random: &mut Random) -> Vec<u8> {
    let name = random.one_of(&["To: ", "To:", "t: ", "TO : ", "To:\r\n "]);
    let mut to = [name, random.one_of(ADDRESSES)].concat();
    for _ in 0..random.below(6) {
        let piece = random.one_of(PIECES);
        // Three of four pieces go to the end.
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

/// Returns one of `seeds` with one to three changes.
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

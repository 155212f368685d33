//! The host grammar compared with an independent SIP parser: which messages are INVITEs without a To tag?
//!
//! The messages on which the two differ fall into the classes of `classes`. Each class says which of the two is wrong,
//! and why. A difference without a class fails the test, and so does a class without a difference.
#![cfg(test)]

mod classes;
mod ezk;
mod features;
mod messages;

use std::collections::BTreeMap;

use filter_common::sip::{Decision, Method, classify};
use filter_lab::random::Random;

use classes::{ONLY_EZK_SAYS_NEW, ONLY_WE_SAY_NEW};
use ezk::Reading;
use features::Features;
use messages::EACH;

/// Returns the host grammar's decision on `message`, or `None` if it is no INVITE.
fn our_decision(message: &[u8]) -> Option<Decision> {
    classify(message).filter(|request| request.method == Method::Invite).map(|request| request.decision)
}

#[test]
fn host_grammar_and_ezk_sip_types_agree_on_new_invites_or_the_difference_is_listed() {
    let corpus = messages::corpus();
    let mut random = Random(0x5eed_0005_0600_0003);
    let generated = (0..EACH).map(|_| messages::generated(&mut random)).collect::<Vec<_>>();
    let mutated = (0..EACH).map(|_| messages::mutated(&corpus, &mut random));

    let mut agreed: BTreeMap<Reading, usize> = BTreeMap::new();
    let mut classes: BTreeMap<String, usize> =
        ONLY_WE_SAY_NEW.iter().chain(ONLY_EZK_SAYS_NEW).map(|class| (class.to_string(), 0)).collect();
    let (mut exempt, mut unlisted) = (0, vec![]);
    for message in corpus.iter().cloned().chain(generated).chain(mutated) {
        let (ours, theirs) = (our_decision(&message), Reading::from_message(&message));
        if matches!(ours, Some(Decision::Emergency | Decision::Replaces)) {
            // The host grammar stops at what exempts a call, which may be before To.
            exempt += 1;
            continue;
        }
        if (ours == Some(Decision::New)) == (theirs == Reading::New) {
            *agreed.entry(theirs).or_default() += 1;
            continue;
        }
        let list = if theirs == Reading::New { ONLY_EZK_SAYS_NEW } else { ONLY_WE_SAY_NEW };
        let features = Features::from_message(&message);
        match list.iter().find(|class| class.contains(theirs, &features)) {
            Some(class) => *classes.entry(class.to_string()).or_default() += 1,
            None => unlisted.push(format!("ours {ours:?}, ezk {theirs:?}: {}", message.escape_ascii())),
        }
    }
    println!("agreed: {agreed:?}, exempt: {exempt}\nclasses: {classes:#?}");
    assert!(
        unlisted.is_empty(),
        "{} differences are not listed, such as\n{}",
        unlisted.len(),
        unlisted[..unlisted.len().min(40)].join("\n")
    );
    assert!(classes.values().all(|messages| *messages > 0), "classes without a message: {classes:#?}");
    for (reading, least) in [(Reading::New, EACH / 10), (Reading::InDialog, EACH / 20)] {
        let messages = agreed.get(&reading).copied().unwrap_or_default();
        assert!(messages > least, "agreed on {reading:?} in only {messages} messages, expected more than {least}");
    }
}

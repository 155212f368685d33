//! The host grammar against an independent SIP parser: what is an INVITE without a To tag?
//!
//! Where they differ, `classes` says who is wrong, and why. A difference that it has no class for is an error, and a
//! class that nothing falls into is one as well.

mod classes;
mod features;
mod messages;
mod theirs;

use std::collections::BTreeMap;

use filter_common::sip::{Decision, Method, classify};

use classes::{IT_SAYS_NEW, WE_SAY_NEW};
use features::Features;
use filter_lab::random::Random;
use messages::EACH;
use theirs::Theirs;

/// What the host grammar says of `message`; `None`: no INVITE.
fn ours(message: &[u8]) -> Option<Decision> {
    classify(message).filter(|request| request.method == Method::Invite).map(|request| request.decision)
}

#[test]
fn both_call_the_same_invites_new_or_it_is_known_why_not() {
    let corpus = messages::corpus();
    let mut random = Random(0x5eed_0005_0600_0003);
    let made_up = (0..EACH).map(|_| messages::made_up(&mut random)).collect::<Vec<_>>();
    let mutated = (0..EACH).map(|_| messages::mutated(&corpus, &mut random));

    let mut agreed: BTreeMap<Theirs, usize> = BTreeMap::new();
    let mut classes: BTreeMap<&str, usize> =
        WE_SAY_NEW.iter().chain(IT_SAYS_NEW).map(|class| (class.name, 0)).collect();
    let (mut exempt, mut unlisted) = (0, vec![]);
    for message in corpus.iter().cloned().chain(made_up).chain(mutated) {
        let (ours, theirs) = (ours(&message), theirs::read(&message));
        if matches!(ours, Some(Decision::Emergency | Decision::Replaces)) {
            // We have not read on to To.
            exempt += 1;
            continue;
        }
        if (ours == Some(Decision::New)) == (theirs == Theirs::New) {
            *agreed.entry(theirs).or_default() += 1;
            continue;
        }
        let list = if theirs == Theirs::New { IT_SAYS_NEW } else { WE_SAY_NEW };
        let features = Features::of(&message);
        match list.iter().find(|class| class.holds(theirs, &features)) {
            Some(class) => *classes.entry(class.name).or_default() += 1,
            None => unlisted.push(format!("ours {ours:?}, theirs {theirs:?}: {}", message.escape_ascii())),
        }
    }
    println!("agreed: {agreed:?}, exempt: {exempt}\nclasses: {classes:#?}");
    assert!(
        unlisted.is_empty(),
        "{} not listed, such as\n{}",
        unlisted.len(),
        unlisted[..unlisted.len().min(40)].join("\n")
    );
    assert!(classes.values().all(|messages| *messages > 0), "classes that nothing falls into: {classes:#?}");
    for (theirs, least) in [(Theirs::New, EACH / 10), (Theirs::InDialog, EACH / 20)] {
        assert!(agreed.get(&theirs).is_some_and(|messages| *messages > least), "too few to say anything: {agreed:?}");
    }
}

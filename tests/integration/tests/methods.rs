//! The row `maint_methods` selects the methods that are refused, but never those of established calls.
#![cfg(test)]

use filter_common::verdict::Verdict;
use filter_lab::lab::Lab;
use filter_lab::wire::Family;
use rstest::rstest;

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn options_is_refused_only_while_the_row_names_it(#[case] family: Family) {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(family);
    lab.filter.run(&["on"]);
    caller.expect(&caller.request("OPTIONS"), 200);

    lab.filter.apply_row("maint_methods", "INVITE,OPTIONS");
    let options = caller.request("OPTIONS");
    let response = caller.expect(&options, 503);
    assert_eq!(response.header("CSeq"), Some(options.header("CSeq")));
    assert!(!lab.server.has_seen(options.header("Call-ID")));
    assert_eq!(lab.filter.stats().verdict(Verdict::RedirectedMethod), 1);
    lab.expect_call_refused(&caller);
    caller.expect(&caller.request("REGISTER"), 200);

    lab.filter.apply_row("maint_methods", "OPTIONS");
    caller.expect(&caller.request("OPTIONS"), 503);
    lab.expect_call_accepted(&caller);
    lab.filter.run(&["off"]);
    caller.expect(&caller.request("OPTIONS"), 200);
}

#[test]
fn methods_of_established_calls_reach_the_server_whatever_the_row_names() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    let mut call = lab.expect_call_accepted(&caller);
    lab.filter.apply_row("maint_methods", "INVITE,REGISTER,SUBSCRIBE,MESSAGE,PUBLISH,OPTIONS");
    lab.filter.run(&["on"]);
    for method in ["REGISTER", "SUBSCRIBE", "MESSAGE", "PUBLISH", "OPTIONS"] {
        caller.expect(&caller.request(method), 503);
    }
    // Outside of a dialog too: a CANCEL has no To tag.
    for method in ["CANCEL", "BYE", "PRACK", "UPDATE", "INFO", "NOTIFY", "REFER"] {
        caller.expect(&caller.request(method), 200);
    }
    // Within a dialog nothing is refused.
    caller.expect(&caller.request_within(&mut call, "OPTIONS"), 200);
    caller.expect(&caller.request_within(&mut call, "MESSAGE"), 200);
    caller.bye(&mut call);

    // A row that names one of them is not used, and reported.
    lab.filter.apply_row("maint_methods", "INVITE,BYE");
    assert_eq!(lab.filter.output(&["status"]).code, Some(3));
    caller.expect(&caller.request("BYE"), 200);
    lab.expect_call_refused(&caller);
}

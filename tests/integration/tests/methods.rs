//! Which methods are refused is the row's choice; those that belong to calls that are up are none of them.

use anyhow::Result;
use filter_lab::lab::Lab;
use filter_lab::wire::Family;
use rstest::rstest;

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn options_is_refused_only_while_the_row_names_it(#[case] family: Family) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(family)?;
    lab.filter.done(&["on"])?;
    caller.expect(&caller.request("OPTIONS"), 200)?;

    lab.filter.apply_row("maint_methods", "INVITE,OPTIONS")?;
    let options = caller.request("OPTIONS");
    let response = caller.expect(&options, 503)?;
    assert_eq!(response.header("CSeq"), Some(options.header("CSeq")));
    assert!(!lab.server.saw(options.header("Call-ID")));
    assert_eq!(lab.filter.stats()?.verdict("redirected_method")?, 1);
    lab.is_refused(&caller)?;
    caller.expect(&caller.request("REGISTER"), 200)?;

    lab.filter.apply_row("maint_methods", "OPTIONS")?;
    caller.expect(&caller.request("OPTIONS"), 503)?;
    lab.goes_through(&caller)?;
    lab.filter.done(&["off"])?;
    caller.expect(&caller.request("OPTIONS"), 200)?;
    Ok(())
}

#[test]
fn what_ends_a_call_reaches_the_server_whatever_the_row_says() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    let mut call = lab.goes_through(&caller)?;
    lab.filter.apply_row("maint_methods", "INVITE,REGISTER,SUBSCRIBE,MESSAGE,PUBLISH,OPTIONS")?;
    lab.filter.done(&["on"])?;
    for method in ["REGISTER", "SUBSCRIBE", "MESSAGE", "PUBLISH", "OPTIONS"] {
        caller.expect(&caller.request(method), 503)?;
    }
    // Also out of a dialog: a CANCEL has no To tag.
    for method in ["CANCEL", "BYE", "PRACK", "UPDATE", "INFO", "NOTIFY", "REFER"] {
        caller.expect(&caller.request(method), 200)?;
    }
    // Within a dialog nothing is refused.
    caller.expect(&caller.within(&mut call, "OPTIONS"), 200)?;
    caller.expect(&caller.within(&mut call, "MESSAGE"), 200)?;
    caller.bye(&mut call)?;

    // A row that names one of them is not followed, and told.
    lab.filter.apply_row("maint_methods", "INVITE,BYE")?;
    assert_eq!(lab.filter.cli(&["status"])?.code, Some(3));
    caller.expect(&caller.request("BYE"), 200)?;
    lab.is_refused(&caller)?;
    Ok(())
}

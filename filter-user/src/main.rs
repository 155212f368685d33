//! sip-filter
fn main() {}

//! What the database says is to be done: the policy that the daemon keeps in force.

/// A policy, as the rows of the `htable_config` table state it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Row `maint`: whether new calls are refused.
    pub maintenance: bool,
    /// How they are refused.
    pub refusal: Refusal,
}

/// The response that a refused call gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Row `maint_code`: the status code, 400 to 699.
    pub code: u16,
    /// Row `maint_reason`: the reason phrase (RFC 3261 section 25.1): no CR, LF or other control bytes.
    pub reason: String,
    /// Row `maint_retry_after`: `Retry-After` in seconds, before jitter; `0` leaves the header out.
    pub retry_after: u32,
}

//! Tests of the XDP program in the kernel: `BPF_PROG_TEST_RUN` runs it on one packet at a time.
#![cfg(test)]

mod corpus;
mod differential;
mod exemptions;
mod flows;
mod methods;
mod ownership;
mod packets;
mod policy;
mod rig;
mod scope;
mod transactions;
mod verifier;

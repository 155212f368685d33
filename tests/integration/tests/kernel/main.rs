//! The XDP program in the kernel, run on single packets by `BPF_PROG_TEST_RUN`.

mod corpus;
mod differential;
mod exemptions;
mod methods;
mod packets;
mod policy;
mod rig;
mod transactions;
mod verifier;

//! The XDP program of sip-filter.
#![no_std]
#![no_main]

//! Laboratory

pub mod demo;

//! Laboratory

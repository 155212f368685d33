//! The first process of the virtual machines that `cargo xtask kernels` boots.

fn main() {
    filter_tests::guest::init::run();
}

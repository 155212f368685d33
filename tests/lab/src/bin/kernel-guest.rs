//! The first process of the virtual machines that `cargo xtask kernels` boots.

fn main() {
    filter_lab::guest::init::run();
}

#!/bin/sh
# Compiler wrapper of `cargo xtask fuzz` (RUSTC_WORKSPACE_WRAPPER of cargo): instruments the crates under test, so that
# libFuzzer sees which of their code an input reaches.
#
# The flags are those of cargo-fuzz without a sanitizer, and all of them are stable. A wrapper rather than RUSTFLAGS, because
# RUSTFLAGS would compile all dependencies a second time.
case "${CARGO_CRATE_NAME-}" in
filter_common | filter_reply | filter_user)
    set -- "$@" \
        -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares \
        -Ccodegen-units=1
    ;;
esac
exec "$@"

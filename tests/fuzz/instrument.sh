#!/bin/sh
# The compiler for `cargo xtask fuzz` (cargo's RUSTC_WORKSPACE_WRAPPER): counts which code of ours an input reaches.
#
# These flags are those of cargo-fuzz without a sanitizer, all of them stable. As a wrapper and not as RUSTFLAGS, since
# those would have all dependencies compiled a second time.
case "${CARGO_CRATE_NAME-}" in
filter_common | filter_user)
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

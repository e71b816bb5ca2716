#!/bin/sh
# Runs the tests of the C++ kernels, compiled for AddressSanitizer and UndefinedBehaviorSanitizer, in two builds: for this
# processor, and without vector instructions.
set -eu
cd "$(dirname "$0")/../../.."
asan=$(g++ -print-file-name=libasan.so)
# Python keeps memory until the process ends. The sanitizer must be loaded before Python, and before it libstdc++, for
# the exceptions of PyTorch.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export GENGAP_KERNELS_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g1"
for build in ${BUILDS:-native generic}; do
    echo "build: $build"
    GENGAP_KERNELS=$build LD_PRELOAD="$asan $(g++ -print-file-name=libstdc++.so)" \
        python -m pytest -q -p no:cacheprovider tests/engine/cpu --ignore tests/engine/cpu/test_library.py \
        -k "not compiled and not opcheck" "$@"
done

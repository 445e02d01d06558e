#!/bin/bash
#
# cmocka.sh - run a unit test: cmocka up to 1.1.7 writes "not ok 3 # SKIP name" for a test that was
# skipped, which TAP calls a failure
"$@" | sed -u 's/^not ok \([0-9]*\) # SKIP/ok \1 # SKIP/'
exit "${PIPESTATUS[0]}"

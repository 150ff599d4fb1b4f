#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# short on: trixie
# timeout: 300
#
# Programs that sleep until there is something to do, and so end only if every
# message, completion and connection request wakes them up. Not with ucx_perftest's
# puts and gets: there the target sleeps while it waits for its memory to change,
# for which no RDMA device raises an event. Tried with UCX 1.18 over rc_verbs,
# `-t ucp_put_bw -s 8192 -n 100 -w 2 -E sleep`: neither side had come to an end, or
# to a result, after 20 s (perftest_settings.sh looks whether it does).

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_start
perf sleep tag_lat 8 200 -- -E sleep
perf sleep tag_bw 1048576 12 -- -E sleep
lab_end

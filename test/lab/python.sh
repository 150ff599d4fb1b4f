#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# short on: bookworm
# timeout: 240
#
# Python processes that use UCX in the way of UCX-Py and UCXX, by ctypes:
# started by vmprun, and without a preload, with the module loaded by its path.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_python.sh
. "$LAB_TEST_DIR/lib_python.sh"

MODULE=/opt/vmp/lib/ucx/libuct_vmp.so.0

lab_start
python_pair "by vmprun" "${LAUNCH[@]}" --
[ "$TLS" != vmp ] || python_pair "module by its path" -- --module $MODULE
lab_end

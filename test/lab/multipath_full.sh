#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 400
#
# As multipath.sh, with messages by rendezvous.

MULTIPATH_TEST=tag_bw
# shellcheck source-path=SCRIPTDIR source=multipath.sh
. "$(dirname "$0")/multipath.sh"

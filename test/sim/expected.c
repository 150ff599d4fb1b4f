/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

#include "fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What the core does not survive yet. After such an accident the rule may be
 * broken between the two hosts that it befell; all other rules hold for them,
 * and all rules for others. An entry that is not seen any more is an error,
 * too: take it out.
 */
static struct {
    fault_kind_t kind;
    const char   *rule;
    int          is_rare;               /* a file in scenarios/ shows it */
    unsigned     seen;                  /* after this kind alone */
} expected[] = {
    {FAULT_LAST,     "", 0, 0}
};


int expected_failure(uint64_t happened, const char *rule)
{
    const char *strict = getenv("VMP_SIM_STRICT");
    uint64_t known     = 0;
    uint64_t mine;
    unsigned i;

    if ((strict != NULL) && (*strict == '1')) {
        return 0;
    }

    for (i = 0; expected[i].kind != FAULT_LAST; ++i) {
        if (strcmp(expected[i].rule, rule) == 0) {
            known |= (1ull << expected[i].kind) & happened;
        }
    }

    for (i = 0; expected[i].kind != FAULT_LAST; ++i) {
        mine = 1ull << expected[i].kind;
        expected[i].seen += (known == mine) &&
                            (strcmp(expected[i].rule, rule) == 0);
    }

    return known != 0;
}

int expected_check(void)
{
    int ret = 0;
    unsigned i;

    for (i = 0; expected[i].kind != FAULT_LAST; ++i) {
        if ((expected[i].seen == 0) && !expected[i].is_rare) {
            printf("expected, but not seen: after \"%s\" rule \"%s\" is "
                   "broken: take it out of test/sim/expected.c\n",
                   fault_name(expected[i].kind), expected[i].rule);
            ret = -1;
        }
    }

    return ret;
}

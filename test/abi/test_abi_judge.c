/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Refusal of unknown UCX libraries: facts of a matching UCX are accepted, and
 * with any one fact spoilt there is one clear sentence and no acceptance.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "uct_vmp_abi.h"
#include "uct_vmp_abi_check.h"

#include <stdio.h>
#include <string.h>


static int test_errors = 0;


static void test_set_good(uct_vmp_abi_facts_t *facts)
{
    memset(facts, 0, sizeof(*facts));
    facts->library           = "/some/libuct.so.0";
    facts->version_known     = 1;
    facts->major             = UCT_VERNO_MAJOR;
    facts->minor             = UCT_VERNO_MINOR;
    facts->patch             = 99;
    facts->component_size    = sizeof(uct_component_t);
    facts->tl_size           = sizeof(uct_tl_t);
    facts->config_field_size = sizeof(ucs_config_field_t);
    facts->base_iface_size   = sizeof(uct_base_iface_t);
    facts->base_ep_size      = sizeof(uct_base_ep_t);
    facts->mark_present      = 1;
    facts->mark_size         = UCT_VMP_ABI_MARK_SIZE;
    facts->mark_absent       = 0;
}

static void test_expect(const char *name, const uct_vmp_abi_facts_t *facts,
                        int expected, const char *word)
{
    char reason[UCT_VMP_ABI_REASON_MAX] = "";
    int accepted;

    accepted = uct_vmp_abi_judge(facts, reason, sizeof(reason));
    if (!!accepted != !!expected) {
        printf("FAIL %s: accepted %d instead of %d (%s)\n", name, accepted,
               expected, reason);
        ++test_errors;
    } else if (!expected && ((strstr(reason, word) == NULL) ||
                             (strchr(reason, '\n') != NULL) ||
                             (strstr(reason, facts->library) == NULL) ||
                             (strstr(reason, "install") == NULL))) {
        printf("FAIL %s: unclear reason: %s\n", name, reason);
        ++test_errors;
    } else {
        printf("ok   %s%s%s\n", name, expected ? "" : ": ", reason);
    }
}

static void test_sizes(void)
{
    static const struct {
        const char *name;
        size_t     offset;
        const char *word;
    } sizes[] = {
        {"component", offsetof(uct_vmp_abi_facts_t, component_size),
         "component"},
        {"transport", offsetof(uct_vmp_abi_facts_t, tl_size), "transport"},
        {"field", offsetof(uct_vmp_abi_facts_t, config_field_size),
         "settings"},
        {"iface", offsetof(uct_vmp_abi_facts_t, base_iface_size),
         "interface"},
        {"ep", offsetof(uct_vmp_abi_facts_t, base_ep_size), "endpoint"}
    };
    uct_vmp_abi_facts_t facts;
    size_t i;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        test_set_good(&facts);
        *(size_t*)((char*)&facts + sizes[i].offset) += 8;
        test_expect(sizes[i].name, &facts, 0, sizes[i].word);

        *(size_t*)((char*)&facts + sizes[i].offset) = 0;
        test_expect(sizes[i].name, &facts, 0, "cannot be found");
    }
}

static void test_versions(void)
{
    uct_vmp_abi_facts_t facts;
    unsigned minor;

    for (minor = 0; minor < 40; ++minor) {
        test_set_good(&facts);
        facts.minor = minor;
        test_expect("minor", &facts, minor == UCT_VERNO_MINOR, "runs UCX");
    }

    test_set_good(&facts);
    facts.major = UCT_VERNO_MAJOR + 1;
    test_expect("major", &facts, 0, "runs UCX");

    /* libucp absent: the marks decide */
    test_set_good(&facts);
    facts.version_known = 0;
    facts.minor         = 0;
    test_expect("no libucp", &facts, 1, "");

    facts.mark_present = 0;
    test_expect("older, no libucp", &facts, 0, "another UCX");

    facts.mark_present = 1;
    facts.mark_absent  = 1;
    test_expect("newer, no libucp", &facts, 0, "another UCX");
}

static void test_symbols(void)
{
    uct_vmp_abi_facts_t facts;

    test_set_good(&facts);
    facts.missing_symbol = "uct_tl_register";
    test_expect("symbol", &facts, 0, "uct_tl_register");

    /* no libuct at all */
    memset(&facts, 0, sizeof(facts));
    facts.library        = "no libuct";
    facts.missing_symbol = "uct_tl_register";
    test_expect("nothing", &facts, 0, "another UCX");
}

int main(void)
{
    uct_vmp_abi_facts_t facts;

    test_set_good(&facts);
    test_expect("good", &facts, 1, "");
    test_versions();
    test_sizes();
    test_symbols();

    printf("%d errors\n", test_errors);
    return test_errors != 0;
}

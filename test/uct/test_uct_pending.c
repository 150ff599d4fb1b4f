/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 */

/*
 * Requests that wait for room, in the glue over a core that the test controls:
 * their order, purge, fences between them, and what they do to themselves.
 */

#ifdef HAVE_CONFIG_H
#  include "config.h"
#endif

#include "glue_world.h"


/* Requests that wait: each sends its number of messages. */
typedef struct test_req {
    uct_pending_req_t super;
    unsigned          left;
    char              name;
    int               again;    /* queue once more when done */
    int               close;    /* destroy the endpoint when done */
    struct test_req   *reply;   /* what its completion callback sends */
} test_req_t;

static ucs_status_t test_req_func(uct_pending_req_t *super)
{
    test_req_t *req = ucs_container_of(super, test_req_t, super);
    ucs_status_t status;

    if (req->left > 0) {
        status = uct_ep_am_short(test_ep, TEST_AM_ID, req->name, NULL, 0);
        if (status != UCS_OK) {
            return status;
        }
        --req->left;
    }

    if (req->left > 0) {
        return UCS_INPROGRESS;
    }

    if (req->again) {
        req->again = 0;
        req->left  = 1;
        VMP_CHECK(uct_ep_pending_add(test_ep, &req->super, 0) == UCS_OK);
    } else if (req->close) {
        uct_ep_destroy(test_ep);
    } else if ((req->reply != NULL) &&
               (test_req_func(&req->reply->super) != UCS_OK)) {
        VMP_CHECK(uct_ep_pending_add(test_ep, &req->reply->super, 0) ==
                  UCS_OK);
    }

    return UCS_OK;
}

static void test_purged(uct_pending_req_t *super, void *arg)
{
    strncat(arg, &ucs_container_of(super, test_req_t, super)->name, 1);
}

static void test_pending(void)
{
    test_req_t reqs[4] = {
        {{test_req_func, {0}}, 2, 'a', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'b', 1, 0, NULL},
        {{test_req_func, {0}}, 3, 'c', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'd', 0, 0, NULL}
    };
    char order[TEST_MAX + 1] = "";
    unsigned i;

    test_num_msgs  = 0;
    fake_core.room = 1;
    VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[0].super, 0) ==
              UCS_ERR_BUSY);
    fake_core.room = 0;
    for (i = 0; i < 3; ++i) {
        VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[i].super, 0) == UCS_OK);
    }

    /* room comes, but nothing may overtake */
    fake_core.room = 100;
    VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID, 'x', NULL, 0) ==
              UCS_ERR_NO_RESOURCE);
    VMP_CHECK(uct_ep_am_bcopy(test_ep, TEST_AM_ID, test_pack, (void*)"x", 0) ==
              UCS_ERR_NO_RESOURCE);
    VMP_CHECK(uct_ep_flush(test_ep, 0, NULL) == UCS_ERR_NO_RESOURCE);
    VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[3].super, 0) == UCS_OK);

    fake_core.room = 4;
    for (i = 0; i < 4; ++i) {
        test_progress();
    }
    fake_core.room = 100;
    for (i = 0; i < 4; ++i) {
        test_progress();
    }

    for (i = 0; i < test_num_msgs; ++i) {
        order[i] = test_msgs[i][0];
    }
    VMP_CHECK(!strcmp(order, "aabcccdb"));
    VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID, 'x', NULL, 0) == UCS_OK);
    test_progress();

    /* purge gives them back in order, and none runs */
    fake_core.room = 0;
    memset(order, 0, sizeof(order));
    for (i = 0; i < 4; ++i) {
        reqs[i].left = 1;
        VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[i].super, 0) == UCS_OK);
    }
    uct_ep_pending_purge(test_ep, test_purged, order);
    VMP_CHECK(!strcmp(order, "abcd"));
    fake_core.room = 1;
    test_progress();
    VMP_CHECK(fake_core.room == 1);
}

static void test_check_fence(char before, char after)
{
    const char *fence = strchr(strchr(fake_core.trace, before), '|');

    VMP_CHECK(fence != NULL);
    VMP_CHECK(strchr(fake_core.trace, after) > fence);
}

static void test_send_traced(char what)
{
    VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID, what, NULL, 0) == UCS_OK);
}

/* After a purge UCP replays what it kept, without the fences between. */
static void test_pending_replay(void)
{
    test_req_t reqs[2] = {
        {{test_req_func, {0}}, 1, 'c', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'd', 0, 0, NULL}
    };
    char setup[2] = "w";

    test_num_msgs = 0;
    uct_ep_pending_purge(test_ep, test_purged, NULL);
    fake_core.trace[0] = '\0';
    fake_core.room     = 3;
    test_progress();
    VMP_CHECK(uct_ep_am_bcopy(test_ep, TEST_SETUP_ID, test_pack, setup, 0) > 0);
    VMP_CHECK(fake_core.trace[0] == '\0');
    test_send_traced('a');
    test_send_traced('b');
    VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[0].super, 0) == UCS_OK);
    VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[1].super, 0) == UCS_OK);
    fake_core.room = 100;
    test_progress();
    test_check_fence('a', 'b');
    test_check_fence('b', 'c');
    test_check_fence('c', 'd');

    /* over */
    test_send_traced('x');
    test_progress();
    fake_core.trace[0] = '\0';
    test_send_traced('y');
    test_send_traced('z');
    VMP_CHECK(!strcmp(fake_core.trace, "yz"));
    test_progress();
}

/* What a completion callback sends does not overtake what waits. */
static void test_pending_reply(void)
{
    test_req_t reqs[4] = {
        {{test_req_func, {0}}, 1, 'a', 0, 0, &reqs[3]},
        {{test_req_func, {0}}, 2, 'b', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'c', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'd', 0, 0, NULL}
    };
    unsigned i;

    test_num_msgs  = 0;
    fake_core.room = 0;
    for (i = 0; i < 3; ++i) {
        VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[i].super, 0) == UCS_OK);
    }

    fake_core.trace[0] = '\0';
    fake_core.room     = 100;
    test_progress();
    test_progress();
    VMP_CHECK(!strcmp(fake_core.trace, "abbcd"));
}

/* UCP flushes and fences interfaces while requests wait. */
static void test_pending_fence(void)
{
    test_req_t reqs[4] = {
        {{test_req_func, {0}}, 2, 'a', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'b', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'c', 0, 0, NULL},
        {{test_req_func, {0}}, 1, 'd', 0, 0, NULL}
    };
    unsigned i;

    test_num_msgs  = 0;
    fake_core.room = 0;
    VMP_CHECK(uct_iface_flush(test_iface, 0, NULL) == UCS_OK);
    for (i = 0; i < 4; ++i) {
        VMP_CHECK(uct_ep_pending_add(test_ep, &reqs[i].super, 0) == UCS_OK);
        VMP_CHECK(uct_iface_flush(test_iface, 0, NULL) == UCS_INPROGRESS);
        if ((i == 1) || (i == 3)) {
            VMP_CHECK(uct_iface_fence(test_iface, 0) == UCS_OK);
        }
    }

    /* a, b | c, d | x */
    fake_core.trace[0] = '\0';
    for (i = 0; i < 6; ++i) {
        fake_core.room = 1;
        test_progress();
    }
    fake_core.room = 1;
    VMP_CHECK(uct_ep_am_short(test_ep, TEST_AM_ID, 'x', NULL, 0) == UCS_OK);
    test_progress();
    VMP_CHECK(uct_iface_flush(test_iface, 0, NULL) == UCS_OK);

    /* more fences than needed would be no error */
    test_check_fence('b', 'c');
    test_check_fence('d', 'x');
}

static void test_destroy_in_request(void)
{
    test_req_t req = {{test_req_func, {0}}, 1, 'z', 0, 1, NULL};

    fake_core.room = 0;
    VMP_CHECK(uct_ep_pending_add(test_ep, &req.super, 0) == UCS_OK);
    fake_core.room = 1;
    test_progress();
    VMP_CHECK(req.left == 0);
    test_progress();
    test_ep = NULL;
}

/* A request that purges what waits behind it, and itself finds no room */
static ucs_status_t test_purging_func(uct_pending_req_t *super)
{
    test_req_t *req = ucs_container_of(super, test_req_t, super);
    char order[8]   = "";

    if (req->close) {
        req->close = 0;
        uct_ep_pending_purge(test_ep, test_purged, order);
        return UCS_ERR_NO_RESOURCE;
    }

    return test_req_func(super);
}

static void test_purge_in_request(void)
{
    test_req_t req = {{test_purging_func, {0}}, 1, 'p', 0, 1, NULL};

    fake_core.room = 0;
    VMP_CHECK(uct_ep_pending_add(test_ep, &req.super, 0) == UCS_OK);
    fake_core.room = 1;
    test_progress();
    VMP_CHECK(!req.close);
    test_progress();
    VMP_CHECK(req.left == 0);
    test_progress();
}

int main(void)
{
    test_start();
    test_pending();
    test_pending_fence();
    test_pending_replay();
    test_pending_reply();
    test_purge_in_request();
    test_destroy_in_request();
    test_stop();
    printf("ok\n");
    return 0;
}

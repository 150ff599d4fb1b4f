/**
 * Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
 *
 * See file LICENSE for terms.
 *
 * Included at the end of UCX's uct_test.h and ucp_test.h: the transports that
 * its tests are made for. Beside ours those that failures are compared with.
 * No include guard: each of the two headers has to be overridden.
 */

#ifdef UCT_TEST_NO_SELF_TLS
#undef UCT_TEST_NO_SELF_TLS
#undef UCT_TEST_NO_GPU_MEM_TYPE_TLS
#undef UCT_TEST_TLS
#define UCT_TEST_NO_SELF_TLS vmp, rc_verbs, tcp
#define UCT_TEST_NO_GPU_MEM_TYPE_TLS UCT_TEST_NO_SELF_TLS
#define UCT_TEST_TLS UCT_TEST_NO_SELF_TLS
#endif

#ifdef UCP_INSTANTIATE_TEST_CASE
#undef UCP_INSTANTIATE_TEST_CASE
#undef UCP_INSTANTIATE_TEST_CASE_GPU_AWARE
#define UCP_INSTANTIATE_TEST_CASE(_test_case) \
    UCP_INSTANTIATE_TEST_CASE_TLS(_test_case, vmp, "vmp") \
    UCP_INSTANTIATE_TEST_CASE_TLS(_test_case, rc, "rc_v") \
    UCP_INSTANTIATE_TEST_CASE_TLS(_test_case, tcp, "tcp")
#define UCP_INSTANTIATE_TEST_CASE_GPU_AWARE UCP_INSTANTIATE_TEST_CASE
#define UCP_INSTANTIATE_ALL_TEST_CASE UCP_INSTANTIATE_TEST_CASE
#define UCP_INSTANTIATE_CM_TEST_CASE UCP_INSTANTIATE_TEST_CASE
#endif

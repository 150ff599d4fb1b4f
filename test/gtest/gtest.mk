#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
# See file LICENSE for terms.
#
# Compiles UCX's tests of transports in a configured build directory of UCX (the
# current one), against the UCX that is installed. SRC is UCX's source tree.
#
# Left out: ucs and ucm (no transport), uct/ib, uct/cuda and uct/tcp (cast to
# these transports), test_mm, test_tag and test_sockaddr of uct (shared memory,
# hardware tag matching, connection managers), statistics and memory types,
# which Debian's build has not, and the measurements, which ucx_perftest makes.

SRC ?= /vmp/src
GTEST = $(SRC)/test/gtest

COMMON = main test test_helpers test_watchdog mem_buffer
UCT = $(filter-out test_mm test_stats test_tag test_sockaddr test_uct_perf \
        test_atomic_key_reg_rdma_mem_type, \
        $(basename $(notdir $(wildcard $(GTEST)/uct/*.cc))))
UCP = $(filter-out test_ucp_perf test_ucp_tag_perf test_ucp_tag_offload \
        test_ucp_mem_type test_ucp_tag_mem_type, \
        $(basename $(notdir $(wildcard $(GTEST)/ucp/*.cc))))
GOOGLETEST = $(filter-out gtest_main, \
        $(basename $(notdir $(wildcard $(GTEST)/common/googletest/*.cc))))

OBJECTS = $(COMMON:%=common/%.o) $(UCT:%=uct/%.o) $(UCP:%=ucp/%.o) \
        uct/v2/test_uct_query.o $(GOOGLETEST:%=common/googletest/%.o)

CXX = g++
CXXFLAGS = -std=c++11 -O1 -fno-tree-vectorize -w -fopenmp
CPPFLAGS = -DHAVE_CONFIG_H -DCPU_FLAGS= -DTOP_SRCDIR='"$(SRC)"' \
        -DGTEST_UCM_HOOK_LIB_DIR='"."' -I. -Isrc -I$(SRC)/src -I$(SRC)/test \
        -I$(GTEST) -I$(GTEST)/common/googletest

# Some tests of ucp look whether an interface is of ud_verbs
MODULES = /usr/lib/x86_64-linux-gnu/ucx

gtest: $(addprefix gtest.o/,$(OBJECTS))
	$(CXX) -s -fopenmp -rdynamic -o $@ $^ -lucp -luct -lucm -lucs \
		-L$(MODULES) -Wl,-rpath,$(MODULES) -luct_ib \
		-libverbs -lpthread -ldl -lrt -lm

gtest.o/%.o: $(GTEST)/%.cc
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

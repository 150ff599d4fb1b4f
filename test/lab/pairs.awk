# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# All pairs: few rows of settings in which every value of every option meets
# every value of every other one, on one host and across the two. Greedy and
# without chance: the same table gives the same rows.
#
#   awk -f pairs.awk TABLE             prints the rows, "HOST.NAME=VALUE ..."
#   awk -v check=ROWS -f pairs.awk TABLE
#                                      counts the pairs that ROWS leaves out
#
# Lines of the table:
#   each NAME VALUE...   an option that each host sets for itself
#   same NAME VALUE...   an option that is the same on both
#                        Values behind a "|" are tried once, with any others
#   not NAME=VALUE[,VALUE...] NAME=VALUE[,VALUE...]
#                        values that exclude each other on one host
# "-" for a value leaves the option alone.

/^ *(#|$)/ { next }
$1 == "each" { add_factor("a", $2); add_factor("b", $2); next }
$1 == "same" { add_factor("ab", $2); next }
$1 == "not" { exclude($2, $3); next }
{ print FILENAME ": " FNR ": what is " $1 "?" >"/dev/stderr"; failed = 1; exit }

# Factors and their values are numbers from here on
function add_factor(hosts, name,    i, n, bar)
{
    ++num_factors
    host_of[num_factors] = hosts
    name_of[num_factors] = name
    for (i = 3; i <= NF; ++i) {
        if ($i == "|") {
            bar = 1
            continue
        }
        value_of[num_factors, ++n] = $i
        if (bar)
            is_single[num_factors, n] = 1
    }
    num_values[num_factors] = n
}

function exclude(left, right,    f, g)
{
    for (f = 1; f <= num_factors; ++f)
        for (g = 1; g <= num_factors; ++g)
            if (f != g && (host_of[f] == host_of[g] ||
                           host_of[f] == "ab" || host_of[g] == "ab"))
                exclude_values(f, left, g, right)
}

function exclude_values(f, left, g, right,    i, j)
{
    for (i = 1; i <= num_values[f]; ++i)
        for (j = 1; j <= num_values[g]; ++j)
            if (matches(f, i, left) && matches(g, j, right))
                forbidden[f, i, g, j] = forbidden[g, j, f, i] = 1
}

function matches(f, i, term,    parts)
{
    split(term, parts, "=")
    return name_of[f] == parts[1] &&
           index("," parts[2] ",", "," value_of[f, i] ",") > 0
}

END {
    if (failed)
        exit 2
    list_pairs()
    if (check != "")
        read_rows(check)
    else
        make_rows()
    if (num_open > 0) {
        for (pair in open) {
            split(pair, n, SUBSEP) # twice the same: a single value
            print host_of[n[1]] "." name_of[n[1]] "=" \
                  value_of[n[1], n[2]] " " host_of[n[3]] "." name_of[n[3]] \
                  "=" value_of[n[3], n[4]] >"/dev/stderr"
        }
        print num_open " pairs are left out" >"/dev/stderr"
        exit 1
    }
}

# open[f, i, g, j]: no row has this pair yet; f < g. A single value is a pair of
# its own, which comes last, and into rows where the option has nothing to close.
function list_pairs(    f, i, g, j)
{
    for (f = 1; f <= num_factors; ++f)
        for (i = 1; i <= num_values[f]; ++i) {
            if ((f, i) in is_single) {
                open_pair(f, i, f, i)
                continue
            }
            for (g = f + 1; g <= num_factors; ++g)
                for (j = 1; j <= num_values[g]; ++j)
                    if (!((f, i, g, j) in forbidden) &&
                        !((g, j) in is_single))
                        open_pair(f, i, g, j)
        }
}

function open_pair(f, i, g, j)
{
    open[f, i, g, j] = 1
    ++open_of[f, i]
    if (f != g)
        ++open_of[g, j]
    ++num_open
}

function is_open(f, i, g, j)
{
    return f < g ? (f, i, g, j) in open : (g, j, f, i) in open
}

function close_pairs(row,    f, g)
{
    for (f = 1; f <= num_factors; ++f)
        for (g = f; g <= num_factors; ++g)
            if ((f, row[f], g, row[g]) in open) {
                delete open[f, row[f], g, row[g]]
                --open_of[f, row[f]]
                if (f != g)
                    --open_of[g, row[g]]
                --num_open
            }
}

function make_rows(    before, row)
{
    while (num_open > 0) {
        before = num_open
        if (!make_row(row))
            return
        close_pairs(row)
        if (num_open == before)
            return
        print_row(row)
    }
}

# The value that is in most open pairs comes first, with one of these pairs.
# The others follow: each takes what closes most pairs with those that are set.
function make_row(row,    f, i, n, best, first, value)
{
    split("", row)
    best = 0
    for (f = 1; f <= num_factors; ++f)
        for (i = 1; i <= num_values[f]; ++i)
            if (open_of[f, i] > best) {
                best = open_of[f, i]
                first = f
                value = i
            }
    row[first] = value
    set_partner(row, first)
    for (n = 1; n < num_factors; ++n) {
        f = (first + n - 1) % num_factors + 1
        if (f in row)
            continue
        row[f] = choose(row, f)
        if (row[f] == 0) {
            print "no value of " name_of[f] " is left" >"/dev/stderr"
            return 0
        }
    }
    return 1
}

function set_partner(row, f,    g, j)
{
    for (g = 1; g <= num_factors; ++g)
        for (j = 1; j <= num_values[g]; ++j)
            if (g != f && is_open(f, row[f], g, j)) {
                row[g] = j
                return
            }
}

function choose(row, f,    i, g, gain, best, value)
{
    best = -1
    value = 0
    for (i = 1; i <= num_values[f]; ++i) {
        gain = is_open(f, i, f, i)
        for (g in row) {
            if (g == f)
                continue
            if ((f, i, g, row[g]) in forbidden) {
                gain = -1
                break
            }
            gain += is_open(f, i, g + 0, row[g])
        }
        # What is in more open pairs breaks ties
        if (gain > best || (gain == best && gain >= 0 &&
                            open_of[f, i] > open_of[f, value])) {
            best = gain
            value = i
        }
    }
    return value
}

function print_row(row,    f, line)
{
    line = ""
    for (f = 1; f <= num_factors; ++f)
        line = line (f > 1 ? " " : "") host_of[f] "." name_of[f] "=" \
               value_of[f, row[f]]
    print line
}

function read_rows(file,    line, words, n, i, f, v, row)
{
    while ((getline line <file) > 0) {
        n = split(line, words, " ")
        if (n != num_factors) {
            print file ": a row of " n " settings" >"/dev/stderr"
            exit 2
        }
        for (f = 1; f <= num_factors; ++f) {
            row[f] = 0
            for (v = 1; v <= num_values[f]; ++v)
                if (words[f] == host_of[f] "." name_of[f] "=" value_of[f, v])
                    row[f] = v
        }
        for (f = 1; f < num_factors; ++f)
            for (i = f + 1; i <= num_factors; ++i)
                if ((f, row[f], i, row[i]) in forbidden) {
                    print "excluded: " words[f] " " words[i] >"/dev/stderr"
                    exit 2
                }
        close_pairs(row)
    }
}

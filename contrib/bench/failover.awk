# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# failover.csv (contestant, ms, bytes, ms of the cut, ms of the heal) -> SVG:
# goodput over time around the cut, a panel each. All have one scale, but for what
# never comes near it.

FNR > 1 {
    if (!($1 in cut)) {
        names[++count] = $1
        cut[$1] = $4
        heal[$1] = $5
    }
    bin = int(($2 - $4 + 4000) / 100)
    if (bin >= 0 && bin < bins) {
        sum[$1, bin] += $3
        rate = sum[$1, bin] / 1048576 * 10
        if (rate > peak[$1])
            peak[$1] = rate
        if (rate > top)
            top = rate
    }
}

BEGIN { bins = 140; width = 700; height = 150; left = 60; top = 1 }

function x(ms) { return left + (ms + 4000) / 100 * width / bins }

END {
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" " \
           "height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n",
           left + width + 20, count * (height + 40) + 30
    print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
    for (i = 1; i <= count; i++) {
        name = names[i]
        base = i * (height + 40) - 10
        scale = (peak[name] > 0 && peak[name] < top / 4) ? peak[name] : top
        printf "<text x=\"%d\" y=\"%d\">%s: MB/s over seconds from the cut" \
               "</text>\n", left, base - height - 8, name
        printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" " \
               "fill=\"#fdd\"/>\n", x(0), base - height,
               x(heal[name] - cut[name]) - x(0), height
        printf "<path fill=\"none\" stroke=\"#04c\" stroke-width=\"1.5\" " \
               "d=\"M"
        for (bin = 0; bin < bins; bin++)
            printf "%s%.1f %.1f", bin ? " L" : "", left + bin * width / bins,
                   base - sum[name, bin] / 1048576 * 10 / scale * height
        print "\"/>"
        printf "<path stroke=\"#888\" fill=\"none\" d=\"M%d %d V%d H%d\"/>\n",
               left, base - height, base, left + width
        printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.2g</text>\n",
               left - 6, base - height + 10, scale
        printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">0</text>\n",
               left - 6, base
        for (s = -4; s < 10; s += 2)
            printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d" \
                   "</text>\n", x(s * 1000), base + 14, s
    }
    print "</svg>"
}
